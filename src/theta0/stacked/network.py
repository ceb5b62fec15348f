"""Networks of one shape as one: a parameter is `[members, *shape]`, a layer one batched product."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from theta0.losses import WeightedSum
from theta0.losses.penalties import Penalty


class Network:
    """The networks of all members, and what each of them minimises.

    Any module that `torch.func.vmap` takes will do; three layers are helped along: Linear becomes
    one `baddbmm`, Dropout draws each member's masks from its own generator at its own rate, and
    cross-entropy smooths labels by each member's own ε. A member's outputs, loss and gradients are
    bit for bit the same whoever the others are (on the CPU, as long as there are two).

    Args:
        template: one member's network, from now on a part of this; its weights stay as they are.
        loss: one member's, likewise.
        states: each member's state dict, on the CPU.
        scales: each member's factors on the terms of the loss.
        smoothing: each member's ε, by the name of a cross-entropy term.
        rates: each member's dropout rates, in module order.
        generators: each member's, for its dropout masks.
        device, dtype: of the weights.

    Attributes:
        parameters: by name, `[members, *shape]`; those that are trained require a gradient.
        buffers: by name, `[members, *shape]`.
    """

    def __init__(
        self,
        template: nn.Module,
        loss: WeightedSum,
        states: Sequence[Mapping[str, Tensor]],
        scales: Sequence[Mapping[str, float]],
        smoothing: Sequence[Mapping[str, float]],
        rates: Sequence[Sequence[float]],
        generators: Sequence[torch.Generator],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.template = _Fit(template, loss).to(device, dtype)  # as the optimizers' states
        self.loss = loss
        self.names = list(states[0])
        trained = {name for name, p in template.named_parameters() if p.requires_grad}
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        known = dict(template.named_parameters())
        for name in self.names:
            stacked = torch.stack([state[name] for state in states])
            stacked = stacked.to(device, dtype if stacked.is_floating_point() else None)
            if name in known:
                self.parameters[name] = stacked.requires_grad_(name in trained)
            else:
                self.buffers[name] = stacked
        self.trained = [name for name in self.parameters if name in trained]
        self.scales: dict[str, Tensor | None] = {  # None: 1 for all, which costs nothing
            name: torch.tensor([s[name] for s in scales], dtype=dtype, device=device)
            if any(s[name] != 1 for s in scales)
            else None
            for name in scales[0]
        }
        self.numbers: dict[str, Tensor] = {}
        for name in smoothing[0]:
            if any(s[name] != smoothing[0][name] for s in smoothing):
                term = loss.terms[name]
                term.register_buffer("smoothing", torch.zeros(()))
                term.forward = MethodType(_cross_entropy, term)  # type: ignore[method-assign]
                self.numbers[f"loss.terms.{name}.smoothing"] = torch.tensor(
                    [s[name] for s in smoothing], dtype=dtype, device=device
                )
        self.dropouts = [m for m in template.modules() if isinstance(m, nn.Dropout)]
        for i, module in enumerate(self.dropouts):
            kept = 1 - torch.tensor([r[i] for r in rates], dtype=torch.float64)
            module.masks = _Masks(kept, list(generators))  # type: ignore[assignment]
            module.forward = MethodType(_dropout, module)  # type: ignore[method-assign]
        for layer in template.modules():
            if isinstance(layer, nn.Linear):
                layer.forward = MethodType(_linear, layer)  # type: ignore[method-assign]
        for term in loss.terms.values():
            if isinstance(term, Penalty):
                _name_penalised(term, template)

    @property
    def members(self) -> int:
        return len(next(iter(self.parameters.values())))

    def fit(self, x: Tensor, y: Tensor, shared: bool) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """In training: (each member's loss [members], the loss's parts, outputs [members, n, ...]).

        x is [n, ...] where all members have the same batch (`shared`), else [members, n, ...];
        y likewise.
        """
        return self._run(x, y, shared, True, tuple(self.loss.terms))

    @torch.no_grad()
    def evaluate(
        self, x: Tensor, y: Tensor, shared: bool, weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """The data's terms alone; `weights` are other parameters and buffers than the present."""
        return self._run(x, y, shared, False, self.loss.data_terms, weights)

    def _run(
        self,
        x: Tensor,
        y: Tensor,
        shared: bool,
        training: bool,
        names: tuple[str, ...],
        weights: Mapping[str, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        self.template.train(training)
        state = weights or {**self.parameters, **self.buffers}
        tensors = {f"network.{name}": tensor for name, tensor in state.items()} | self.numbers

        def one(tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Any:
            return functional_call(self.template, tensors, (x, y))

        rows = None if shared else 0
        values, output = vmap(one, in_dims=(0, rows, rows))(tensors, x, y)
        first, *others = (self._scaled(name, values[name]) for name in names)
        return sum(others, start=first), {name: values[name] for name in self.loss.parts}, output

    def _scaled(self, name: str, value: Tensor) -> Tensor:
        scale = self.scales[name]
        return value if scale is None else scale * value

    def state(self, member: int) -> dict[str, Tensor]:
        """A member's state dict, on the CPU, of tensors of its own."""
        tensors = {**self.parameters, **self.buffers}
        return {name: tensors[name][member].detach().cpu().clone() for name in self.names}

    def keep(self, rows: Tensor) -> None:
        """Only these members go on, in this order."""
        for tensors in (self.parameters, self.buffers, self.numbers, self.scales):
            for name, tensor in tensors.items():
                if tensor is not None:
                    kept = tensor.detach()[rows]
                    tensors[name] = kept.requires_grad_(tensor.requires_grad)
        for module in self.dropouts:
            module.masks.keep(rows.tolist())  # type: ignore[union-attr, operator]


class _Fit(nn.Module):
    """A network and its loss, so that one functional call has the weights of both."""

    def __init__(self, network: nn.Module, loss: WeightedSum) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, x: Tensor, y: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        output = self.network(x)
        return self.loss.values(self.loss.terms, output, y, x, self.network), output


def _name_penalised(term: Penalty, network: nn.Module) -> None:
    """A penalty finds its weights by name: inside vmap none of them says that it is trained."""
    chosen = {id(weight) for weight in term.penalised(network)}
    weights = [attrgetter(name) for name, p in network.named_parameters() if id(p) in chosen]
    found = lambda network: [weight(network) for weight in weights]  # noqa: E731
    term.penalised = found  # type: ignore[method-assign]


# ---------------------------------------------------------------------- layers, for all at once


class _Affine(torch.autograd.Function):
    """x Wᵀ + b for x [members, n, in], W [members, out, in], b [members, out] or None.

    torch's own backward pass gives W's gradient as the transpose of what is wanted, to be copied.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.mT)
        return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (
            torch.bmm(g, weight) if wanted[0] else None,
            torch.bmm(g.mT, x) if wanted[1] else None,
            g.sum(1) if wanted[2] else None,
        )


class _Product(torch.autograd.Function):
    """The affine map of one member, inside vmap; of all members, outside."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise NotImplementedError("inside vmap alone")

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
        if in_dims[0] is None:
            x = x.expand(info.batch_size, *x.shape)
        flat = x.flatten(1, -2) if x.ndim > 3 else x
        product = _Affine.apply(flat, weight, bias)
        return product.view(*x.shape[:-1], -1), 0


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    if x.ndim < 2:
        return functional.linear(x, layer.weight, layer.bias)
    return _Product.apply(x, layer.weight, layer.bias)  # type: ignore[no-any-return]


class _Masks:
    """Each member's dropout masks, drawn as its solo run draws them (on the CPU: the same ones)."""

    def __init__(self, kept: Tensor, generators: list[torch.Generator]) -> None:
        self.kept, self.generators = kept, generators

    def keep(self, rows: list[int]) -> None:
        self.kept = self.kept[rows]
        self.generators = [self.generators[row] for row in rows]

    def draw(self, like: Tensor) -> Tensor:
        """`like` [members, ...]; returns 0 or 1/(1 − p), of its shape."""
        masks = torch.empty_like(like)
        for mask, kept, generator in zip(masks, self.kept.tolist(), self.generators, strict=True):
            mask.bernoulli_(kept, generator=generator)
        return masks.div_(self.kept.to(like).view(-1, *[1] * (like.ndim - 1)))


class _Draw(torch.autograd.Function):
    """The masks for a tensor inside vmap."""

    @staticmethod
    def forward(x: Tensor, masks: _Masks) -> Tensor:
        raise NotImplementedError("inside vmap alone")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise NotImplementedError("inside vmap alone")

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, masks: _Masks) -> Any:
        if in_dims[0] is None:
            x = x.expand(info.batch_size, *x.shape)
        return masks.draw(x.movedim(in_dims[0] or 0, 0)), 0


def _dropout(layer: Any, x: Tensor) -> Tensor:
    return x * _Draw.apply(x.detach(), layer.masks) if layer.training else x  # type: ignore[no-any-return]


def _cross_entropy(term: Any, input: Tensor, target: Tensor) -> Tensor:
    """−Σ q log softmax(z), q = (1 − ε)·onehot(y) + ε/C, for labels y [n]; the mean over n.

    With class weights w it is −Σ w·q log softmax(z), summed over n and divided by the sum of w_y.
    """
    log_p = functional.log_softmax(input, 1)
    hit = functional.nll_loss(log_p, target, term.weight)
    if term.weight is None:
        smooth = log_p.mean(1).mean()
    else:
        smooth = (log_p * term.weight).mean(1).sum() / term.weight[target].sum()
    return (1 - term.smoothing) * hit - term.smoothing * smooth
