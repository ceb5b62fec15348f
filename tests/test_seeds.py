import random
from itertools import pairwise

import numpy as np
import pytest
import torch

from theta0.seeds import derive, generator, seed_global

LABELS = ("split", "init", "order", "noise", "constructor")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0,), 7896617691693857887),
        ((0, "init"), 737784977880914781),
        ((1, "init"), 3764165702572847652),
        ((0, "order", 1), 1855772871999893748),
        ((2**40 + 3, "noise", 2), 6010791209015138139),
    ],
)
def test_derive_is_the_same_for_ever(arguments, expected):
    """A study of last year's seeds must be the study of today's."""
    assert derive(*arguments) == expected


def test_derived_seeds_fit_63_bits_and_use_them():
    derived = [derive(seed, "init") for seed in range(300)]
    assert all(0 <= value < 2**63 for value in derived)
    shares = [np.mean([value >> bit & 1 for value in derived]) for bit in range(63)]
    assert min(shares) > 0.35 and max(shares) < 0.65  # 5 standard errors


def test_equal_numbers_give_each_stream_its_own_draws():
    derived = [derive(seed, label) for seed in range(50) for label in LABELS]
    assert len(set(derived)) == len(derived)


def test_epochs_ranks_and_seeds_do_not_collide():
    derived = [derive(seed, "order", epoch) for seed in range(30) for epoch in range(30)]
    assert len(set(derived)) == 900
    assert derive(2, "order", 3) != derive(3, "order", 2)


def test_labels_keep_their_order_and_their_edges():
    assert derive(0, "a", "b") != derive(0, "b", "a")
    assert derive(0, "ab") != derive(0, "a", "b")
    assert derive(0, "1") != derive(0, 1)


def test_neighbouring_seeds_are_unrelated():
    """Half of the bits differ, and 20 000 normal draws correlate by no more than chance."""
    derived = [derive(seed, "init") for seed in range(200)]
    bits = [(a ^ b).bit_count() for a, b in pairwise(derived)]
    assert np.mean(bits) == pytest.approx(31.5, abs=5 * np.sqrt(63 / 4 / len(bits)))
    draws = torch.stack([torch.randn(20_000, generator=generator(s, "init")) for s in range(8)])
    off = torch.corrcoef(draws) - torch.eye(8)
    assert off.abs().max() < 5 / np.sqrt(20_000)


def test_streams_of_one_seed_are_unrelated():
    draws = torch.stack([torch.randn(20_000, generator=generator(0, label)) for label in LABELS])
    off = torch.corrcoef(draws) - torch.eye(len(LABELS))
    assert off.abs().max() < 5 / np.sqrt(20_000)


def test_zero_is_a_seed_like_any_other():
    assert len({derive(seed, "init") for seed in (0, 1, 2)}) == 3
    assert derive(0, "init") != 0
    assert generator(0, "init").initial_seed() == derive(0, "init")


def test_a_last_label_of_zero_is_a_label():
    assert derive(0, "order", 0) != derive(0, "order")


def test_a_large_seed_is_not_a_small_one_with_a_label():
    assert derive(3 + 7 * 2**32) != derive(3, 7)


def test_a_generator_gives_its_draws_again_whatever_else_draws():
    first = generator(5, "order")
    assert first.device.type == "cpu"
    a = torch.rand(10, generator=first)
    torch.rand(1000)
    assert torch.equal(torch.rand(10, generator=generator(5, "order")), a)
    assert not torch.equal(torch.rand(10, generator=first), a)  # it goes on
    assert not torch.equal(torch.rand(10, generator=generator(6, "order")), a)


def test_a_generator_leaves_the_global_ones_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    torch.rand(10, generator=generator(5, "order"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def draws() -> tuple[list[float], list[float], list[float]]:
    return torch.rand(4).tolist(), np.random.rand(4).tolist(), [random.random() for _ in range(4)]


def test_seed_global_seeds_torch_numpy_and_random():
    seed_global(3, "noise", 0)
    one = draws()
    on = draws()
    seed_global(3, "noise", 0)
    assert draws() == one
    for changed in ((4, "noise", 0), (3, "constructor"), (3, "noise", 1)):
        seed_global(*changed)
        other = draws()
        assert all(a != b for a, b in zip(one, other, strict=True))
    assert all(a != b for a, b in zip(one, on, strict=True))


def test_seed_global_takes_the_derived_seed():
    """The pins above hold for what dropout draws as well."""
    seed_global(3, "noise")
    derived = derive(3, "noise")
    assert torch.initial_seed() == derived
    assert np.random.rand() == np.random.RandomState(derived % 2**32).rand()
    assert random.random() == random.Random(derived).random()
