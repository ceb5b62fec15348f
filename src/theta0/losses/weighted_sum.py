"""A loss as a weighted sum of named terms."""

import inspect
from collections.abc import Iterable, Mapping

from torch import Tensor, nn


class WeightedSum(nn.Module):
    """Σ scaleᵢ·termᵢ, where each term asks for what it needs.

    A term is a module whose `forward` names its arguments: `output` [n, outputs] (torch's losses
    call it `input`), `target` [n, ...], `x` [n, ...], the inputs, and `network`. Terms that ask for
    `target` measure the fit to data; the others, penalties and prior knowledge, count in training
    only, so that the validation losses of runs with different penalties compare.

    Args:
        terms: modules by name, each of which gives a scalar.
        scales: what each of them is multiplied by.

    Raises:
        ValueError: a term asks for something else, no term asks for `target`, or a name of `terms`
            is not one of `scales`.
    """

    def __init__(self, terms: Mapping[str, nn.Module], scales: Mapping[str, float]) -> None:
        super().__init__()
        if terms.keys() != scales.keys():
            raise ValueError(f"loss: terms {', '.join(terms)}, but scales {', '.join(scales)}")
        for term in terms.values():
            if type(term).__module__.startswith("torch.nn."):
                # Class weights are settings: a checkpoint without them is whole.
                for name, buffer in term.named_buffers(recurse=False):
                    term.register_buffer(name, buffer, persistent=False)
        self.terms = nn.ModuleDict(terms)
        self.scales = dict(scales)
        self._asks = {name: _asked(name, term) for name, term in terms.items()}
        self.data_terms = tuple(name for name, asks in self._asks.items() if "target" in asks)
        if not self.data_terms:
            raise ValueError(f"loss: none of {', '.join(terms)} looks at the targets")
        alone = len(terms) == 1 and set(self.scales.values()) == {1.0}
        self.parts = () if alone else tuple(terms)
        """Names of the terms to report beside the sum: none where the only term is the sum."""

    def forward(
        self, output: Tensor, target: Tensor, x: Tensor, network: nn.Module
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(the sum of all terms, each of `parts` before it is scaled)."""
        values = self.values(self.terms, output, target, x, network)
        return self._sum(values), {name: values[name] for name in self.parts}

    def evaluate(
        self, output: Tensor, target: Tensor, x: Tensor, network: nn.Module
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """(the sum of the data terms, each of `parts` before it is scaled)."""
        values = self.values(self.terms, output, target, x, network)
        data = {name: values[name] for name in self.data_terms}
        return self._sum(data), {name: values[name] for name in self.parts}

    def data_loss(self, output: Tensor, target: Tensor, x: Tensor, network: nn.Module) -> Tensor:
        """The sum of the data terms, no other being computed: what an attack raises."""
        return self._sum(self.values(self.data_terms, output, target, x, network))

    def values(
        self, names: Iterable[str], output: Tensor, target: Tensor, x: Tensor, network: nn.Module
    ) -> dict[str, Tensor]:
        """The terms called `names`, none of them scaled."""
        offered = {"output": output, "input": output, "target": target, "x": x, "network": network}
        return {
            name: self.terms[name](**{key: offered[key] for key in self._asks[name]})
            for name in names
        }

    def _sum(self, values: dict[str, Tensor]) -> Tensor:
        first, *others = (
            value if self.scales[name] == 1 else self.scales[name] * value
            for name, value in values.items()
        )
        return sum(others, start=first)


def _asked(name: str, term: nn.Module) -> tuple[str, ...]:
    """What `term.forward` takes of what is offered; anything else must have a default."""
    known = ("output", "input", "target", "x", "network")
    parameters = inspect.signature(term.forward).parameters
    for key, parameter in parameters.items():
        if key not in known and parameter.default is parameter.empty:
            raise ValueError(f"loss.{name} asks for {key!r}: a term may ask for {', '.join(known)}")
    return tuple(key for key in parameters if key in known)
