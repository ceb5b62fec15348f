"""A training without a single step is refused: its θ₀ would stand in the table as a result."""

from typing import Any

from theta0.errors import ConfigError, shown


def check_steps(plain: dict[str, Any]) -> None:
    """Raises ConfigError where it is plain before the start that nothing would be trained."""
    if not plain["train"]:
        return
    trainer, data = plain["trainer"], plain["data"]
    for key in ("max_epochs", "max_steps", "limit_train_batches"):
        if (value := trainer.get(key)) == 0 and not isinstance(value, bool):
            raise ConfigError(f"trainer.{key}={shown(value)}: trains nothing; {_INSTEAD}")
    rows, size = (data.get("samples") or {}).get("train"), data.get("batch_size")
    if not (isinstance(rows, int) and isinstance(size, int)):
        return  # a data set of one's own
    if data.get("drop_last") and size > rows:
        raise ConfigError(
            f"data.batch_size={size}: more than the {rows} training rows, and data.drop_last=true"
            " leaves out a batch that is not full: trains nothing; a smaller batch, or"
            " data.drop_last=false"
        )
    batches = rows // size if data.get("drop_last") else -(-rows // size)
    limit = trainer.get("limit_train_batches")
    if isinstance(limit, float) and int(batches * limit) == 0:
        raise ConfigError(
            f"trainer.limit_train_batches={limit}: of {batches} batches, trains nothing; {_INSTEAD}"
        )


_INSTEAD = "train=false evaluates without training"
