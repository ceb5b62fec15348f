"""What is wrong, in plain sentences."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from theta0.diagnostics.sharpness import TOLERANCE
from theta0.diagnostics.statistics import Statistics

VANISHING, EXPLODING = 1e-2, 1e2
"""Standard deviations of activations. Inputs are normalised to 1, and every gain is meant to stay
near it; a factor of 100 in the activations is one of 100 in the weight gradients too."""
SATURATED = 0.5
"""Share of flat entries: less than half of the layer passes a gradient on."""
DEAD = 0.5
"""Share of units without gradient: the layer is less than half as wide as it looks."""
DECAY = 1e-4
"""Gradient of the first hidden layer over that of the last, or the other way round: no learning
rate moves both, where the update-to-weight ratios that work differ by less."""
LARGE_UPDATE, SMALL_UPDATE = 1e-1, 1e-6
"""Update-to-weight ratios, of which about 1e-3 is usual: ten steps of 1e-1 replace a weight, and a
thousand of 1e-6 change it in the third digit."""
FULL_RATE = 0.1
"""Small updates are a schedule's doing where the rate is below this share of what it began with."""


@dataclass(frozen=True)
class Finding:
    """Something wrong: a `kind` in a word or two, at a `layer` ("": the network), and a `text`."""

    layer: str
    kind: str
    text: str


def find(rows: Sequence[Statistics], rate: float = 1.0) -> list[Finding]:
    """Everything wrong with what `measure` returned.

    The output layer's activations are not judged: small outputs are a good start. Where units are
    identical the rest follows from it, and is left out.

    Args:
        rows: the measurement.
        rate: the learning rate over what it began with; see `FULL_RATE`.
    """
    layers = [row for row in rows if row.layer]
    found = [Finding("", *what) for row in rows if not row.layer for what in _network(row)]
    found += [Finding("", *what) for what in _gradients(layers[:-1])]
    found += [Finding(row.layer, *what) for row in layers[:-1] for what in _activations(row)]
    found += [Finding(row.layer, *what) for row in layers for what in _updates(row, rate)]
    return found


def sentences(
    findings: Iterable[Finding], he: Callable[[], Mapping[str, float]] | None = None
) -> list[str]:
    """One sentence a kind: that of the first layer, and how many more there are.

    `he` gives the std of each layer's activations from He's weights (`he_activation_stds`); it is
    asked only where activations vanish or explode.
    """
    kinds: dict[str, list[Finding]] = {}
    for finding in findings:
        kinds.setdefault(finding.kind, []).append(finding)
    return [_sentence(of_a_kind, he) for of_a_kind in kinds.values()]


def _sentence(findings: list[Finding], he: Callable[[], Mapping[str, float]] | None) -> str:
    first, *others = findings
    more = f" (and {len(others)} more)" if others else ""
    where = f"layer {first.layer}{more}: " if first.layer else ""
    hint = ""
    if he is not None and first.kind in ("vanish", "explode") and first.layer in (stds := he()):
        hint = f"; He would give {stds[first.layer]:.2g}"
    return f"{where}{first.text}{hint}"


def _activations(row: Statistics) -> Iterator[tuple[str, str]]:
    if row.identical:
        yield "identical", "all units are identical, and nothing tells them apart"
        return
    if row.activation_std is not None:
        if row.activation_std < VANISHING:
            yield "vanish", f"activations vanish, std {row.activation_std:.2g}"
        if not row.activation_std <= EXPLODING:  # or nan
            yield "explode", f"activations explode, std {row.activation_std:.2g}"
    if row.saturated is not None and row.saturated > SATURATED:
        yield "saturated", f"{row.saturated:.0%} of the activations are saturated"
    if row.dead is not None and row.dead > DEAD:
        yield "dead", f"{row.dead:.0%} of the units are dead"


def _gradients(hidden: Sequence[Statistics]) -> Iterator[tuple[str, str]]:
    known = [row for row in hidden if row.grad_std]  # where 0, weights behind it are 0 by design
    if len(known) < 2:
        return
    first, last = known[0], known[-1]
    assert first.grad_std and last.grad_std
    stds = f"std {first.grad_std:.2g} at {first.layer}, {last.grad_std:.2g} at {last.layer}"
    if first.grad_std / last.grad_std < DECAY:
        yield "gradients vanish", f"gradients vanish towards the first layer, {stds}"
    if last.grad_std / first.grad_std < DECAY:
        yield "gradients explode", f"gradients explode towards the first layer, {stds}"


def _updates(row: Statistics, rate: float) -> Iterator[tuple[str, str]]:
    ratio = row.update_ratio
    if not ratio:
        return
    text = f"a step changes the weight by {ratio:.2g} of its size, where 0.001 is usual"
    if ratio > LARGE_UPDATE:
        yield "large updates", text
    if ratio < SMALL_UPDATE and rate >= FULL_RATE:
        yield "small updates", text


def _network(row: Statistics) -> Iterator[tuple[str, str]]:
    if row.sharpness_error is not None and not row.sharpness_error <= TOLERANCE:
        yield (
            "sharpness",
            f"the sharpness {row.sharpness:.2g} is not settled: an eigenvalue lies within "
            f"{row.sharpness_error:.0%} of it",
        )
