"""Parameter-efficient fine-tuning: which parameters of a network are trained, or put beside them.

Called once, as `finetune(network)`, after the weights are there and before the optimizer is built;
changes the network in place. What is not trained has requires_grad=False. That is all it has:
batch normalisation's running statistics, which no gradient reaches, go on following the batches.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from theta0.init.scheme import find_output

ADAPTED = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""What peft has LoRA for."""

READS_WEIGHTS = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules of torch that compute with the weights of layers inside them and do not call those (the
latter: in evaluation), so that what is put beside such a layer would have no effect."""


@dataclass(kw_only=True)
class Head:
    """Train the head alone: everything below it stays a fixed map to features.

    Args:
        layers: names of the modules that are trained; None: the last Linear or Conv in module
            order.
    """

    layers: Sequence[str] | None = None

    def __call__(self, network: nn.Module) -> None:
        """Freeze the others.

        Raises:
            ValueError: no such module, or nothing to train in it.
        """
        if self.layers is None:
            train_only(network, head_of(network).parameters())
        else:
            train_only(network, module_parameters(network, self.layers))


@dataclass(kw_only=True)
class Biases:
    """BitFit (Ben Zaken et al. 2022): train the biases, normalisation's included, and the head.

    Args:
        head: train the weights of the last Linear or Conv too, as the paper does: a new task has a
            new head.
    """

    head: bool = True

    def __call__(self, network: nn.Module) -> None:
        """Freeze the others.

        Raises:
            ValueError: there is nothing to train.
        """
        biases = [
            parameter
            for name, parameter in network.named_parameters()
            if "bias" in name.rpartition(".")[2]
        ]
        if self.head:
            biases += head_of(network).parameters()
        train_only(network, biases)


@dataclass(kw_only=True)
class LoRA:
    """W + (alpha/rank)·B·A beside each frozen W [out, in] (Hu et al. 2022), by the peft library.

    A [rank, in] is drawn from torch's global generator, B [out, rank] is 0, so the network's
    function is at first unchanged, bit for bit (an Embedding's A is 0 and B drawn). The paper draws
    A from a normal distribution; its own code and peft from U(±1/√in). In the state dict, W becomes
    `LAYER.base_layer.weight`, and `LAYER.lora_A.default.weight` and `LAYER.lora_B.default.weight`
    join it.

    Args:
        rank: rows of A, columns of B.
        alpha: see above; with the rank, a factor on the learning rate of B·A.
        dropout: of the inputs of A.
        layers: names of the layers that get A and B: Linear, Conv, Embedding, but none inside
            torch's attention, which reads weights past its layers; None: every Linear but the head.
        head: train the last Linear or Conv, as it is.
    """

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.0
    layers: Sequence[str] | None = None
    head: bool = True

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank={self.rank}: must be at least 1")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: must lie in [0, 1)")

    def __call__(self, network: nn.Module) -> None:
        """Put A and B beside the layers and freeze what is not trained.

        Raises:
            ValueError: peft is not installed, a layer that LoRA cannot be put beside, or none to
                put it beside.
        """
        try:
            from peft import LoraConfig, inject_adapter_in_model  # takes seconds
        except ModuleNotFoundError as error:
            raise ValueError(
                f"LoRA needs the peft library ({error}): pip install 'theta0[lora]'"
            ) from None

        last = head_of(network)
        trained = list(last.parameters()) if self.head else []
        possible = adaptable(network)
        names = self.layers
        if names is None:
            below = {name: layer for name, layer in possible.items() if layer is not last}
            names = [name for name, layer in below.items() if isinstance(layer, nn.Linear)]
            if not names:
                raise ValueError("LoRA: the network has no Linear below its head to be put beside")
        for name in names:
            if name not in possible:
                raise ValueError(
                    f"layers: LoRA can be put beside {', '.join(possible)}, not {name}"
                )
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="|".join(map(re.escape, names)),  # a list would match as suffixes
        )
        inject_adapter_in_model(config, network)
        for parameter in trained:
            parameter.requires_grad_(True)


def head_of(network: nn.Module) -> nn.Module:
    """The last Linear or Conv in module order."""
    head = find_output(network, None)
    if head is None:
        raise ValueError("the network has no head: no Linear and no Conv")
    return head


def adaptable(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that adapters can be put beside, by name: those whose output is their call's."""
    past_calls = {
        inner
        for module in network.modules()
        if isinstance(module, READS_WEIGHTS)
        for inner in module.modules()
    }
    return {
        name: module
        for name, module in network.named_modules()
        if name and isinstance(module, ADAPTED) and module not in past_calls
    }


def module_parameters(network: nn.Module, names: Iterable[str]) -> list[nn.Parameter]:
    """The parameters of the modules of these names; ValueError where there is none such."""
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise ValueError(
                f"layers: there is no {name!r}, only {', '.join(filter(None, modules))}"
            )
    return [parameter for name in names for parameter in modules[name].parameters()]


def train_only(network: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
    """Freeze all but these."""
    trained = set(parameters)
    if not trained:
        raise ValueError("nothing of the network would be trained")
    for parameter in network.parameters():
        parameter.requires_grad_(parameter in trained)
