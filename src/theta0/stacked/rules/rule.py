"""What an update rule is: a pure function of stacked tensors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from torch import Tensor

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rule(ABC):
    """How an optimizer steps, for many members at once.

    The fields of a rule are what its members share (nesterov, amsgrad, ...), so members whose rules
    are equal can be stacked. What a member has for itself comes with each step, as numbers.

    Attributes:
        hyper: the settings of a parameter group that are numbers, by torch's names. A pair is known
            to `update` by its numbered singulars: betas as beta1 and beta2.
        cycled: the one of `update`'s numbers that a one-cycle schedule moves beside the rate.
        step: the type as which the solo optimizer keeps the number of steps; None: it does not.
        on_matrices: p comes to `update` as [members, rows, columns], otherwise as [members, n].
    """

    hyper: ClassVar[tuple[str, ...]]
    cycled: ClassVar[str | None] = None
    step: ClassVar[type | None] = Tensor
    on_matrices: ClassVar[bool] = False

    @classmethod
    def of(cls, group: Mapping[str, Any]) -> "Rule":
        """The rule by which a solo optimizer steps its parameter group."""
        # A default has the field's type: `momentum: bool` of 0.9 is True.
        names = [field.name for field in fields(cls)]
        return cls(**{name: type(getattr(cls, name))(group[name]) for name in names})

    @property
    def state(self) -> dict[str, str]:
        """What is kept from step to step, shaped like p, zeros before the first: by the formula's
        symbol its name in the solo optimizer's state."""
        return {}

    @property
    def scalars(self) -> dict[str, str]:
        """What is kept too, one number a member, likewise."""
        return {}

    @abstractmethod
    def update(
        self, p: Tensor, g: Tensor, state: Tensors, hyper: Tensors, t: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One step of every member; changes none of its arguments.

        Written so that arithmetic alone reaches the tensors: no branch on a value, no `item`.

        Args:
            p: parameters, [members, n] or [members, rows, columns].
            g: their gradients, likewise.
            state: by symbol what `state` and `scalars` name; scalars have hyper's shape.
            hyper: by name, float64, broadcast with p: [members, 1] or [members, 1, 1].
            t: number of the step, 1 at a member's first; of hyper's shape.

        Returns:
            p after the step, and the state for the next.
        """
