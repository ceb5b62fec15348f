"""Weights from a file as the starting point."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from theta0.init.fans import WEIGHTED, fans
from theta0.init.report import LayerReport, drawn_std
from theta0.init.scheme import require, require_no_needs
from theta0.init.schemes import TorchDefault

log = logging.getLogger(__name__)

PREFIX = "network."
"""Where a Lightning checkpoint of theta0 keeps the network, inside its "state_dict"."""


@dataclass(kw_only=True)
class Pretrained:
    """Load the parameters and buffers of the network from a file.

    The file is a bare state dict, or a checkpoint that has one under "state_dict", as Lightning's
    do. It is read with `weights_only=True`, so a file that holds pickled classes is refused rather
    than run.

    Args:
        path: the file.
        match: "strict": the file's keys and shapes are the network's, all of them. "partial": keys
            that the network has, with the same shape, are taken; the log says what became of each.
        prefix: only entries whose key begins with it are read, and without it ("module.",
            "backbone."). None: those that begin with "network." in a checkpoint, where there are
            any; else all as they are.
        rest: the scheme that fills the network first where the match is partial, so that what the
            file does not have (a new head) has a proper start. It may not ask for data or set
            learning rates.
        strict: see `TensorScheme`; also where `rest` is.
    """

    path: str
    match: Literal["strict", "partial"] = "strict"
    prefix: str | None = None
    rest: Callable[[nn.Module, torch.Generator], list[LayerReport]] = field(
        default_factory=TorchDefault
    )
    strict: bool = False

    def __post_init__(self) -> None:
        require("match", self.match, ("strict", "partial"))
        require_no_needs("rest", self.rest)
        self.strict = self.strict or getattr(self.rest, "strict", False)

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """Load into `network` in place; returns one report a parameter. `rest` has the generator.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a state dict of plain tensors; no key has the prefix; its keys or
                shapes are not the network's (strict); none of them is (partial). The network is
                then untouched.
        """
        state = self._read()
        outcomes = compare(state, network.state_dict())
        taken = {key: value for key, value in state.items() if outcomes[key] == "taken"}
        others: dict[str, LayerReport] = {}
        if self.match == "partial":
            if not taken:
                raise self._error("has nothing that fits the network, only", list(state))
            self._log(outcomes)
            others = {report.name: report for report in self.rest(network, generator)}
        elif misfits := [f"{key} is {o}" for key, o in outcomes.items() if o != "taken"]:
            raise self._error("does not fit the network (match=partial takes what does):", misfits)
        network.load_state_dict(network.state_dict() | taken)
        return [
            _report(network, name, parameter) if name in taken else others[name]
            for name, parameter in network.named_parameters()
        ]

    def _read(self) -> dict[str, Tensor]:
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{self.path}: no such file")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a foreign file makes the reader raise
            kind = type(error).__name__
            raise ValueError(
                f"{self.path}: not readable as plain tensors (weights_only=True, {kind}):"
                " damaged, not a checkpoint, or with pickled classes in it"
            ) from error
        wrapped = isinstance(content, dict) and "state_dict" in content
        state = content["state_dict"] if wrapped else content
        if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
            raise ValueError(f"{self.path}: not a state dict, that is a dict of tensors")
        state = {str(key): value for key, value in state.items()}
        prefix = (PREFIX if wrapped else "") if self.prefix is None else self.prefix
        inner = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if not inner and self.prefix is not None:
            raise self._error(f"has no key that begins with {prefix!r}, only", list(state))
        return inner or state

    def _error(self, what: str, entries: list[str], shown: int = 3) -> ValueError:
        more = f" and {len(entries) - shown} more" if len(entries) > shown else ""
        return ValueError(f"{self.path}: {what} {'; '.join(entries[:shown]) or 'no keys'}{more}")

    def _log(self, outcomes: dict[str, str]) -> None:
        words = Counter(outcome.partition(":")[0] for outcome in outcomes.values())
        log.info("%s: %s", self.path, ", ".join(f"{n} {word}" for word, n in words.items()))
        width = max(map(len, outcomes))
        rows = [f"{key:{width}}  {outcome}" for key, outcome in outcomes.items()]
        log.debug("%s:\n%s", self.path, "\n".join(rows))


def compare(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, str]:
    """What becomes of each key: those of the network's `own` state, then the others of a file's.

    "taken", "missing" (from the file), "unknown" (to the network), or "of another shape: ...".
    """

    def outcome(key: str) -> str:
        if key not in state:
            return "missing"
        if key not in own:
            return "unknown"
        found, wanted = list(state[key].shape), list(own[key].shape)
        return (
            "taken" if found == wanted else f"of another shape: {found}, the network has {wanted}"
        )

    return {key: outcome(key) for key in own | state}


def _report(network: nn.Module, name: str, parameter: Tensor) -> LayerReport:
    layer_name, _, key = name.rpartition(".")
    layer = network.get_submodule(layer_name)
    is_weight = isinstance(layer, WEIGHTED) and key == "weight"
    fan_in, fan_out = fans(layer) if is_weight else (None, None)
    return LayerReport(
        layer=layer_name,
        parameter=key,
        shape=tuple(parameter.shape),
        fan_in=fan_in,
        fan_out=fan_out,
        scheme="pretrained",
        drawn_std=drawn_std(parameter),
        trained=parameter.requires_grad,
    )
