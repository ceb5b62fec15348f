"""He et al. 2015: what thirty rectified layers leave of a gradient, by the start."""

import torch
from torch.nn import functional

from theta0.data import Mnist5k, load_cached
from theta0.diagnostics import find, he_activation_stds, measure, sentences
from theta0.init import TorchDefault, VarianceScaling
from theta0.models import MLP


def test_the_first_layer_s_gradient_at_the_start():
    """Each ReLU layer multiplies the gradient's variance by n·Var(W)/2: by 1/6, 1/2 and 1.

    Thirty of them leave 6^-15 = 2e-12, 2^-15 = 3e-5 and 1 of the standard deviation.
    """
    arrays = load_cached(Mnist5k(test_samples=1000, test_seed=0))
    x = torch.tensor(arrays.train_x[:256], dtype=torch.float32).div(arrays.scale)
    x = (x - x.mean()) / x.std()
    y = torch.tensor(arrays.train_y[:256], dtype=torch.int64)

    def start(scheme):
        network = MLP(784, 10, widths=[128] * 30)
        scheme(network, torch.Generator().manual_seed(0))
        rows = measure(network, lambda output, y, x: functional.cross_entropy(output, y), x, y)
        return rows, sentences(find(rows), lambda: he_activation_stds(network, x))

    torch_default, _ = start(TorchDefault())
    xavier, said_of_xavier = start(VarianceScaling(fan="avg", gain=1.0))
    he, said_of_he = start(VarianceScaling(gain="forward"))
    first = [rows[0].weight_grad_std for rows in (torch_default, xavier, he)]
    assert [rows[0].layer for rows in (torch_default, xavier, he)] == ["hidden.0"] * 3
    assert 100 * first[0] < first[1]
    assert 100 * first[1] < first[2]
    for rows, factor in ((torch_default, 6**-14.5), (xavier, 2**-14.5)):  # 29 layers on the way
        ratio = rows[0].grad_std / rows[29].grad_std
        assert factor / 5 < ratio < factor * 5
    assert 0.1 < he[0].grad_std / he[29].grad_std < 10
    assert said_of_he == []
    assert any("activations vanish" in s and "He would give" in s for s in said_of_xavier)
