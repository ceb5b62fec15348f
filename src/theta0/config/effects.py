"""Settings that would have no effect beside others: refused, or told with the run."""

from collections.abc import Sequence
from typing import Any

from theta0.errors import ConfigError, shown

PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"
STOPPING = "lightning.pytorch.callbacks.EarlyStopping"
ONE_CYCLE = "theta0.optim.one_cycle"


def check_effects(plain: dict[str, Any]) -> None:
    """Raises ConfigError for what is asked for and could not come to pass in a training."""
    if not plain["train"]:
        return
    trainer = plain["trainer"]
    if trainer.get("gradient_clip_algorithm") == "value" and not trainer.get("gradient_clip_val"):
        raise ConfigError(
            "trainer.gradient_clip_algorithm=value: clips nothing without"
            " trainer.gradient_clip_val (remedy=clip_value brings both)"
        )
    if trainer.get("overfit_batches"):
        for key in ("limit_train_batches", "limit_val_batches"):
            if (value := trainer.get(key)) is not None:
                raise ConfigError(
                    f"trainer.{key}={shown(value)}: trainer.overfit_batches="
                    f"{trainer['overfit_batches']} takes its place; only one of them"
                )
    if (waits := _waits_for_validation(plain)) is None:
        return
    every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
    if trainer.get("limit_val_batches") == 0:
        raise ConfigError(
            f"trainer.limit_val_batches=0: validates nothing, and {waits} waits for it"
        )
    if every and epochs and 0 < epochs < every:
        raise ConfigError(
            f"trainer.check_val_every_n_epoch={every}: there is no validation within"
            f" trainer.max_epochs={epochs}, and {waits} waits for one"
        )


def _waits_for_validation(plain: dict[str, Any]) -> str | None:
    if plain["pruning"]:
        return "pruning"
    if plain["scheduler"]["_target_"] == PLATEAU:
        return "scheduler=plateau"
    for name, node in plain["callbacks"].items():
        if node["_target_"] == STOPPING and str(node.get("monitor")).startswith("val/"):
            return f"callbacks.{name}"
    return None


def overruled(plain: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """A line for each setting that was typed and that another one overrules."""
    if plain["scheduler"]["_target_"] != ONE_CYCLE or not plain["train"]:
        return []
    typed = {word.lstrip("+").partition("=")[0] for word in overrides}
    lines = []
    for key, cycled in (("momentum", "the momentum"), ("betas", "β₁")):
        value = plain["optimizer"].get(key)
        if value and f"optimizer.{key}" in typed:
            lines.append(
                f"scheduler=one_cycle sets {cycled}, 0.95 to 0.85 and back, whatever"
                f" optimizer.{key}={shown(value)} says"
            )
    return lines
