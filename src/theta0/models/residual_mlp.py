"""Residual MLPs: plain, with a learned scale on each branch, and without need of normalisation."""

from torch import Tensor, nn

from theta0.models.activations import activation as make_activation
from theta0.models.norms import linear, normalisation
from theta0.models.residual import Residual, Scale, Shift

BRANCHES = ("plain", "scaled", "fixup")


class ResidualMLP(nn.Module):
    """An affine map to `width`, `blocks` of x + f(x), an affine map out.

    A branch f is `layers_per_block` times `norm -> activation -> dropout -> linear`: activations
    come first, so that nothing but additions stands on the way from the first map to the last (He
    et al. 2016b, "Identity mappings in deep residual networks", fig. 4e). By `branch`, f is

    - "plain": that, and no more;
    - "scaled": α·f(x), α a learned scalar that starts at 0 (ReZero, Bachlechner et al. 2020;
      SkipInit, De & Smith 2020);
    - "fixup": no biases in its linear maps, but a learned scalar b that starts at 0 added before
      each activation and each linear map, and a learned factor that starts at 1 at the end (Zhang
      et al. 2019, section 3, rule 3). The paper has these scalars outside the branches too; there
      the affine maps have biases, which can be whatever such a scalar can bring about.

    Modules that would do nothing (dropout 0, the identity) are left out.

    Args:
        in_features: numbers in one flattened example.
        out_features: numbers that come out for it (classes, or regression targets).
        width: units of every layer between the first map and the last.
        blocks: number of branches.
        layers_per_block: linear maps in a branch.
        activation: a name in `ACTIVATIONS`.
        dropout: probability in [0, 1) that a unit is zeroed, after an activation, while training.
        norm: "none", "batch", "layer", "rms" before each activation, or "weight"; see `MLP`.
        branch: "plain", "scaled" or "fixup".
        bias: whether the affine maps have a bias, the first and last included; those in a "fixup"
            branch have none.

    Raises:
        ValueError: an unknown activation, norm or branch, a size below 1, a dropout outside [0, 1).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int = 128,
        blocks: int = 4,
        layers_per_block: int = 2,
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str = "none",
        branch: str = "plain",
        bias: bool = True,
    ) -> None:
        super().__init__()
        sizes = [in_features, width, blocks, layers_per_block, out_features]
        if min(sizes) < 1:
            raise ValueError(f"sizes {sizes}: features, width, blocks and layers are at least 1")
        if branch not in BRANCHES:
            raise ValueError(f"branch={branch!r}: allowed are {', '.join(BRANCHES)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: must lie in [0, 1)")

        def layer() -> list[nn.Module]:
            modules = normalisation(norm, width)
            if not isinstance(phi := make_activation(activation), nn.Identity):
                modules += [Shift(), phi] if branch == "fixup" else [phi]
            if dropout > 0:
                modules.append(nn.Dropout(dropout))
            if branch == "fixup":
                modules.append(Shift())
            return [*modules, linear(width, width, bias=bias and branch != "fixup", norm=norm)]

        def block() -> Residual:
            modules = [module for _ in range(layers_per_block) for module in layer()]
            if branch != "plain":
                modules.append(Scale(1.0 if branch == "fixup" else 0.0))
            return Residual(*modules)

        self.input = linear(in_features, width, bias=bias, norm=norm)
        self.blocks = nn.Sequential(*(block() for _ in range(blocks)))
        self.output = linear(width, out_features, bias=bias, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, ...], flattened to [N, in_features] -> [N, out_features]."""
        return self.output(self.blocks(self.input(x.flatten(1))))
