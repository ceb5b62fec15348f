"""The pass that data-dependent schemes share: layer by layer, in the order of execution."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from theta0.init.fans import WEIGHTED
from theta0.init.report import LayerReport, drawn_std
from theta0.models import evaluating


@dataclass(kw_only=True)
class DataDependent(ABC):
    """Base of the schemes that draw weights blindly, then adjust each layer to what it is fed.

    One forward pass does it all: a layer is adjusted as soon as it is called and hands on what it
    gives then, so every layer sees inputs that its predecessors have already made right. What
    follows a layer has not run yet, so an in-place activation cannot spoil what is measured. The
    network is in evaluation mode meanwhile: no dropout, and batch normalisation, its statistics
    fresh, is the identity. A layer that is called again, or shares its weight with one that was
    called, stays as its first call made it; one that is never called keeps what it drew, as its
    report then says.

    Args:
        samples: rows of the batch, drawn without replacement; all rows where there are fewer.
        strict: see `TensorScheme`.
    """

    samples: int = 512
    strict: bool = False

    adjusts: ClassVar[tuple[str, ...]]
    """What `adjust` changes of a layer: "weight", "bias"."""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"samples={self.samples}: must be at least 1")

    @property
    @abstractmethod
    def name(self) -> str:
        """The scheme in a word or two, for the report."""

    @abstractmethod
    def draw(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """The weights before any data is seen, and a report a parameter."""

    @abstractmethod
    def adjust(self, name: str, layer: Any, forward: Callable[[], Tensor]) -> float | None:
        """Change the layer called `name`, whose output is `forward()`, in place.

        Returns the factor put on its weight, where it is one number.
        """

    @torch.no_grad()
    def __call__(
        self, network: nn.Module, generator: torch.Generator, inputs: Tensor
    ) -> list[LayerReport]:
        """Fill `network` in place from the generator and rows of `inputs` [N, ...].

        Returns one report a parameter, in module order.

        Raises:
            ValueError: what `draw` refuses, or a layer that cannot be adjusted on this batch.
        """
        reports = self.draw(network, generator)
        rows = torch.randperm(len(inputs), generator=generator)[: self.samples]
        batch = inputs[rows].to(next(network.parameters()))  # its device and dtype
        gains: dict[str, float | None] = {}  # of the layers adjusted
        adjusted: set[nn.Parameter] = set()

        def adjust(name: str, layer: Any, args: Any, kwargs: Any, output: Any) -> Any:
            if not adjusted.isdisjoint(layer.parameters()):
                return output
            adjusted.update(layer.parameters())
            gains[name] = self.adjust(name, layer, lambda: layer.forward(*args, **kwargs))
            return layer.forward(*args, **kwargs)

        hooks = [
            layer.register_forward_hook(partial(adjust, name), with_kwargs=True)
            for name, layer in network.named_modules()
            if isinstance(layer, WEIGHTED)
        ]
        try:
            with evaluating(network):
                network(batch)
        finally:
            for hook in hooks:
                hook.remove()
        return [self._updated(report, network, gains) for report in reports]

    def _updated(
        self, report: LayerReport, network: nn.Module, gains: dict[str, float | None]
    ) -> LayerReport:
        layer = report.layer.removesuffix("parametrizations.weight").removesuffix(".")
        part = "bias" if report.parameter == "bias" else "weight"
        if layer not in gains or part not in self.adjusts:
            return report
        return replace(
            report,
            scheme=self.name,
            gain=gains[layer] if part == "weight" else None,
            asked_std=None,
            drawn_std=drawn_std(network.get_parameter(report.name)),
        )
