"""What `ckpt_path` means to a run: another run is continued, or its weights are fine-tuned."""

from typing import Any

from torch import Tensor

from theta0.continuation import differing
from theta0.data import DataModule
from theta0.identity import identity_of
from theta0.init.pretrained import compare
from theta0.module import Module
from theta0.results import Start

MAY_DIFFER = (
    "ckpt_path", "train", "test", "compile", "data.eval_batch_size",
    "callbacks.checkpoint.every_n_seconds", "callbacks.diagnostics", "callbacks.learning_rate",
    "trainer.max_epochs", "trainer.max_steps", "trainer.max_time",
    "trainer.log_every_n_steps", "trainer.check_val_every_n_epoch", "trainer.limit_val_batches",
    "trainer.limit_test_batches", "trainer.detect_anomaly", "trainer.deterministic",
    "trainer.benchmark",
)  # fmt: skip
"""What a run that goes on may have otherwise: how long it trains, and what only looks on."""


def start_from(path: str, checkpoint: dict[str, Any], config: dict[str, Any]) -> Start:
    """Whether a run of this configuration continues another one's checkpoint, and why.

    It does where nothing differs that matters. Otherwise an optimizer's state, which holds its
    rates, and a schedule's would win over what was asked for: the weights alone are taken.
    """

    def fine_tune(why: str) -> Start:
        return Start(how="fine-tune", checkpoint=path, why=why)

    then = checkpoint.get("hyper_parameters")
    if "optimizer_states" not in checkpoint or not then:
        return fine_tune("it holds weights alone")
    for key, was, now in differing(_identity(then), _identity(config)):
        if not any(f"{key}.".startswith(f"{other}.") for other in MAY_DIFFER):
            return fine_tune(f"{key} was {was} and is {now}")
    return Start(how="continue", checkpoint=path, why="its settings are the same")


def _identity(config: dict[str, Any]) -> dict[str, Any]:
    """What determines a run's outcome, wherever its data lies."""
    folder = config.get("paths", {}).get("data_dir")

    def placed(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: placed(value) for key, value in node.items()}
        if folder and isinstance(node, str) and node.startswith(folder):
            return "${paths.data_dir}" + node.removeprefix(folder)
        return node

    return placed(identity_of(config))  # type: ignore[no-any-return]


def load_weights(module: Module, data: Any, start: Start, checkpoint: dict[str, Any]) -> None:
    """A checkpoint's weights into a module, and the normalisation that they expect into its data,
    unless the configuration has one.

    Raises ValueError, in one line, where they do not fit.
    """
    own = module.network.state_dict()
    beneath = {name.replace(".base_layer.", "."): name for name in own}  # what LoRA has renamed
    weights = {name: tensor for name, tensor in own.items() if ".lora_" in name}
    weights |= {beneath.get(name, name): t for name, t in weights_of(checkpoint).items()}
    outcomes = compare(weights, own)
    if misfits := [f"{name} is {how}" for name, how in outcomes.items() if how != "taken"]:
        raise ValueError(
            f"ckpt_path={start.checkpoint}: its weights do not fit the network: {misfits[0]}"
            " (init=pretrained init.match=partial takes what fits)"
        )
    if module.hparams["precision"] == "64-true":
        module.double()  # Lightning does so later, when bits would be lost
    module.network.load_state_dict(weights)
    state = checkpoint.get(type(data).__qualname__)
    told = [module.hparams["data"].get(key) for key in ("mean", "std")]
    if isinstance(data, DataModule) and state is not None and told == [None, None]:
        data.load_state_dict(state | {"place": None})


def weights_of(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The network's state dict in a checkpoint of its run."""
    prefix = "network."
    found = checkpoint["state_dict"].items()
    return {name.removeprefix(prefix): tensor for name, tensor in found if name.startswith(prefix)}
