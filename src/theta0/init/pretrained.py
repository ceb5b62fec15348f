"""Weights from a file as the starting point."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from theta0.init.fans import WEIGHTED, fans
from theta0.init.report import LayerReport, drawn_std

PREFIX = "network."
"""Where a Lightning checkpoint of theta0 keeps the network, inside its "state_dict"."""


@dataclass(kw_only=True)
class Pretrained:
    """Load every parameter and buffer of the network from a file, strictly.

    The file is a Lightning checkpoint (the entries of its "state_dict" that begin with "network.",
    or all where none does) or a bare state dict. It is read with `weights_only=True`, so a file
    that holds pickled classes is refused rather than run.

    Args:
        path: the file.
    """

    path: str

    @torch.no_grad()
    def __call__(self, network: nn.Module, generator: torch.Generator) -> list[LayerReport]:
        """Load into `network` in place; the generator is not used. Returns one report a parameter.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is not a state dict of plain tensors, or its keys or shapes are not the
                network's; the network is then untouched.
        """
        state = self._read()
        own = network.state_dict()
        self._refuse("has no value for", [key for key in own if key not in state])
        self._refuse("has keys unknown to the network:", [key for key in state if key not in own])
        shapes = [
            f"{key} {list(state[key].shape)} where the network has {list(value.shape)}"
            for key, value in own.items()
            if state[key].shape != value.shape
        ]
        self._refuse("has other shapes:", shapes)
        network.load_state_dict(state)
        return [_report(network, name, parameter) for name, parameter in network.named_parameters()]

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
        if wrapped:
            inner = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
            state = inner or state
        return state

    def _refuse(self, what: str, entries: list[str], shown: int = 3) -> None:
        if entries:
            more = f" and {len(entries) - shown} more" if len(entries) > shown else ""
            raise ValueError(f"{self.path}: {what} {', '.join(entries[:shown])}{more}")


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
    )
