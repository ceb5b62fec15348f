"""What stands at the top level of a configuration."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from theta0.config.values import (
    Address,
    Auto,
    Count,
    Finite,
    NonNegative,
    Positive,
    Precision,
    Price,
    Seed,
    Strict,
    Studies,
    Tags,
    Text,
    folder_path,
)
from theta0.names import plain_name
from theta0.objective import Mode

SINGLE = (
    "model", "optimizer", "scheduler", "init", "finetune", "adversary", "data", "trainer",
    "pruning", "logger",
)  # fmt: skip
"""Groups that hold one component (or null)."""
NAMED = ("loss", "metrics", "callbacks", "augmentation")
"""Groups that hold components by name."""


FolderPath = Annotated[str, AfterValidator(folder_path)]


class Seeds(Strict):
    split: Seed
    init: Seed
    order: Seed
    noise: Seed


class Objective(Strict):
    metric: Annotated[str, Field(pattern=r"^val/")]
    mode: Mode | None


class Paths(Strict):
    data_dir: FolderPath
    log_dir: FolderPath


class SearchSpace(Strict):
    lr: Annotated[list[Positive], Field(min_length=2, max_length=2)]


class CheckpointTime(Strict):
    every_n_seconds: NonNegative


class Diagnostic(Strict):
    diagnostic: Text
    layer: Text


class Claim(Strict):
    """See theta0.sweep.claims: `of` exceeds `over` by a factor (ratio) or a difference (margin)."""

    says: Text
    value: Annotated[str, Field(pattern="/")] | Diagnostic
    of: dict[str, Any]
    over: dict[str, Any]
    ratio: Positive | None = None
    margin: Finite | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "Claim":
        if (self.ratio is None) == (self.margin is None):
            raise ValueError("must have either ratio or margin")
        return self


class TrainConfig(Strict):
    """What stands at the top level of configs/train.yaml."""

    study: Annotated[str, AfterValidator(plain_name)]
    tags: Tags
    seed: Seed
    seeds: Seeds
    train: bool
    test: bool
    rerun: Literal["changed", "failed", "diverged", "all"] | None
    checkpoint: CheckpointTime
    ckpt_path: Text | None
    compile: bool
    precision: Precision
    accumulate: Count
    threads: Count
    progress: Auto
    print_config: bool
    rendezvous: Address | None
    objective: Objective
    paths: Paths
    search_space: SearchSpace | None = None
    claims: list[Claim]
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    init: dict[str, Any]
    finetune: dict[str, Any] | None
    model: dict[str, Any]
    loss: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    augmentation: dict[str, dict[str, Any]]
    adversary: dict[str, Any] | None
    metrics: dict[str, dict[str, Any]]
    data: dict[str, Any]
    trainer: dict[str, Any]
    pruning: dict[str, Any] | None
    callbacks: dict[str, dict[str, Any]]
    logger: dict[str, Any]


class InspectConfig(TrainConfig):
    """What stands at the top level of configs/inspect_init.yaml."""

    mode: Literal["layers", "coordinates"]
    price: Price
    samples: Count
    widths: Annotated[list[Count], Field(min_length=2)]
    steps: Count
    name: Annotated[str, AfterValidator(plain_name)]
    folder: FolderPath


class Workspace(Strict):
    workspace: bool
    project: str | None
    entity: str | None


class Served(Strict):
    serve: bool
    port: Annotated[int, Field(ge=0, lt=65536)]


class ReportConfig(Strict):
    """What stands at the top level of configs/report.yaml."""

    study: Studies
    where: str | None
    metric: str | None
    mode: Literal["max", "min"] | None
    compare: list[str]
    target: Finite | None
    seed: Seed
    folder: FolderPath | None
    trust: list[str]
    report: Served
    wandb: Workspace
    paths: Paths
