"""Batches made new: what may change, by how much, by whose draw, and what stays."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from theta0.augmentation import Affine, CutMix, GaussianNoise, MixUp, PerSample

LABELS = torch.arange(64) % 10


def same_images(n: int = 64) -> Tensor:
    """One image [1, 8, 8] n times."""
    return torch.arange(64.0).view(1, 1, 8, 8).repeat(n, 1, 1, 1)


EVERY = {
    "PerSample": PerSample(transform=v2.RandomHorizontalFlip()),
    "Affine": Affine(degrees=15, shift=0.2),
    "GaussianNoise": GaussianNoise(std=0.1),
    "MixUp": MixUp(alpha=1.0, num_classes=10),
    "CutMix": CutMix(alpha=1.0, num_classes=10),
}


@pytest.mark.parametrize("name", EVERY)
def test_the_global_cpu_generator_alone_decides(name):
    images = torch.randn(64, 1, 8, 8)

    def drawn(seed):
        torch.manual_seed(seed)
        return EVERY[name](images, LABELS)

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == images.shape and first[0].dtype == images.dtype


@pytest.mark.parametrize("name", EVERY)
def test_the_batch_that_was_given_stays_as_it_is(name):
    """It is a slice of the data set."""
    images, labels = torch.randn(64, 1, 8, 8), LABELS.clone()
    before = images.clone()
    EVERY[name](images, labels)
    assert torch.equal(images, before) and torch.equal(labels, LABELS)


@pytest.mark.parametrize("name", ["PerSample", "Affine", "CutMix"])
def test_what_needs_images_says_so(name):
    with pytest.raises(ValueError, match=rf"{name} needs images \[n, C, H, W\].* are \[64, 5\]"):
        EVERY[name](torch.zeros(64, 5), LABELS)


# -------------------------------------------------------------------------------------- per sample


def test_each_image_draws_for_itself():
    """Flipped or not: about half of the images, where torchvision alone flips all or none."""
    torch.manual_seed(0)
    images = same_images(400)
    flipped, labels = PerSample(transform=v2.RandomHorizontalFlip(0.25))(images, LABELS)
    is_flipped = (flipped == images.flip(-1)).all((1, 2, 3))
    assert ((flipped == images).all((1, 2, 3)) | is_flipped).all()
    assert is_flipped.float().mean().item() == pytest.approx(0.25, abs=4 * (0.1875 / 400) ** 0.5)
    assert labels is LABELS
    whole, _ = v2.RandomHorizontalFlip(0.25)(images, LABELS)
    assert (whole == whole[0]).all()


# ------------------------------------------------------------------------------------------ affine


def test_a_shift_is_by_whole_pixels_and_each_images_own():
    torch.manual_seed(0)
    images = torch.zeros(400, 2, 12, 8)
    images[:, 0, 6, 4], images[:, 1, 6, 4] = 1.0, -2.0
    shifted, labels = Affine(shift=0.25)(images, LABELS)
    places = (shifted[:, 0] > 0.99).nonzero()
    assert torch.equal(places[:, 0], torch.arange(400)), "one bright pixel in each"
    assert set(places[:, 1].tolist()) == set(range(3, 10)), "±0.25 of a height of 12"
    assert set(places[:, 2].tolist()) == set(range(2, 7)), "±0.25 of a width of 8"
    assert abs(torch.corrcoef(places[:, 1:].T.float())[0, 1]) < 4 / 400**0.5
    torch.testing.assert_close(shifted.sum((2, 3)), images.sum((2, 3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(shifted[:, 1], -2 * shifted[:, 0], atol=1e-4, rtol=0)
    assert labels is LABELS


def test_what_comes_in_from_outside_repeats_the_border():
    """A constant fill would bring a grey into images whose black is −0.42."""
    images = torch.full((32, 1, 8, 8), -0.42)
    moved, _ = Affine(degrees=45, shift=0.4)(images, LABELS)
    torch.testing.assert_close(moved, images)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_a_rotation_is_torchvisions(size):
    """By the angle that the generator gives, square or not; inside, where no border is seen."""
    images = torch.randn(20, 3, *size)
    torch.manual_seed(3)
    turned, _ = Affine(degrees=15)(images, LABELS)
    torch.manual_seed(3)
    angles = torch.empty(20).uniform_(-1, 1) * 15
    assert angles.min() < -10 and angles.max() > 10
    for image, result, angle in zip(images, turned, angles.tolist(), strict=True):
        bilinear = v2.InterpolationMode.BILINEAR
        expected = functional.rotate(image, angle, interpolation=bilinear)
        inside = (..., slice(4, -4), slice(4, -4))
        torch.testing.assert_close(result[inside], expected[inside], atol=1e-4, rtol=0)


# ------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("shape", [(1000, 10), (100, 1, 10, 10)])
def test_noise_has_the_std_that_is_asked_for(shape):
    torch.manual_seed(0)
    x = torch.randn(shape)
    noisy, labels = GaussianNoise(std=0.3)(x, LABELS)
    noise = noisy - x
    n = noise.numel()
    assert noise.mean().item() == pytest.approx(0, abs=4 * 0.3 / n**0.5)
    assert noise.std().item() == pytest.approx(0.3, abs=4 * 0.3 / (2 * n) ** 0.5)
    assert labels is LABELS


# ------------------------------------------------------------------------------------------ mixing


@pytest.mark.parametrize("shape", [(64, 5), (64, 1, 8, 8)])
def test_mixup_mixes_labels_as_it_mixes_inputs(shape):
    torch.manual_seed(0)
    x = torch.randn(shape, dtype=torch.double)
    mixed, targets = MixUp(alpha=1.0, num_classes=10)(x, LABELS)
    before = x.roll(1, 0)
    share = ((mixed - before) / (x - before)).flatten()
    torch.testing.assert_close(share, share[:1].expand_as(share), rtol=1e-8, atol=1e-8)
    assert 0 < share[0] < 1
    assert targets.shape == (64, 10) and targets.dtype == x.dtype
    rows = torch.arange(64)
    torch.testing.assert_close(targets[rows, LABELS], share[0].expand(64))
    torch.testing.assert_close(targets.sum(1), torch.ones(64).double())


def test_mixup_of_a_regression_mixes_its_targets():
    torch.manual_seed(0)
    x = torch.randn(16, 1)
    mixed, targets = MixUp(alpha=0.4, num_classes=None)(x, 3 * x + 2)
    torch.testing.assert_close(targets, 3 * mixed + 2)


def test_mixups_share_is_beta_distributed():
    """Mean 1/2, variance 1/(4(2α + 1)); four standard errors."""
    torch.manual_seed(0)
    mixup, x = MixUp(alpha=0.2, num_classes=None), torch.tensor([[1.0], [0.0]])
    shares = torch.stack([mixup(x, x)[0][0, 0] for _ in range(2000)])
    variance = 1 / (4 * 1.4)
    assert shares.mean().item() == pytest.approx(0.5, abs=4 * (variance / 2000) ** 0.5)
    fourth = ((shares - 0.5) ** 4).mean().item()
    error = 4 * ((fourth - variance**2) / 2000) ** 0.5
    assert shares.var().item() == pytest.approx(variance, abs=error)


def test_mixing_labels_needs_to_know_how_many_there_are():
    with pytest.raises(ValueError, match="mixing labels needs num_classes"):
        MixUp(alpha=0.2, num_classes=None)(torch.zeros(64, 2), LABELS)


def test_cutmix_mixes_labels_by_area():
    torch.manual_seed(0)
    cutmix = CutMix(alpha=1.0, num_classes=10)
    shares = []
    for _ in range(50):
        images = torch.randn(64, 2, 8, 8)
        mixed, targets = cutmix(images, LABELS)
        before = images.roll(1, 0)
        own = mixed == images
        assert (own | (mixed == before)).all()
        share = own.float().mean((1, 2, 3))
        assert (own == own[:1, :1]).all(), "one rectangle for all images and channels"
        torch.testing.assert_close(targets[torch.arange(64), LABELS], share)
        torch.testing.assert_close(targets.sum(1), torch.ones(64))
        shares.append(share[0].item())
    assert min(shares) < 0.6 and max(shares) > 0.9


def test_mixtures_can_be_mixed_again():
    torch.manual_seed(0)
    images = torch.randn(64, 1, 8, 8)
    x, y = CutMix(alpha=1.0, num_classes=10)(images, LABELS)
    x, y = MixUp(alpha=1.0, num_classes=10)(x, y)
    x, y = CutMix(alpha=1.0, num_classes=10)(x, y)
    torch.testing.assert_close(y.sum(1), torch.ones(64))
    assert (y > 0).sum(1).max() > 2
