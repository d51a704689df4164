from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bogc.data.folders.frames import (
    DEVIATION,
    MEAN,
    augmented,
    grey,
    mirrored,
    random_box,
    read_picture,
    whole,
)
from bogc.errors import DataError

from .made import write_picture


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.RandomState(seed).randint(0, 256, (height, width, 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def unscaled(frame: torch.Tensor) -> np.ndarray:
    """Back to [height, width, 3] in 0..255."""
    pixels = frame.double() * torch.tensor(DEVIATION).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
    return (255 * pixels).permute(1, 2, 0).numpy()


@given(st.integers(1, 12), st.integers(0, 100))
def test_the_whole_of_a_square_picture_is_only_standardised(side: int, seed: int):
    picture = noise(side, side, seed)
    frame = whole(picture, side)
    assert frame.dtype == torch.float32
    np.testing.assert_allclose(unscaled(frame), np.asarray(picture), atol=1e-4)


def test_another_shape_is_scaled_bilinearly_with_support_of_the_ratio():
    picture = noise(8, 4)
    pixels = np.asarray(picture).astype(float)
    # halving: triangular weights over four source pixels, cut at the edges; one axis at a time
    weights = np.stack([np.clip(2 - np.abs(np.arange(8) - (2 * i + 0.5)), 0, None) for i in range(4)])
    weights /= weights.sum(axis=1, keepdims=True)
    expected = np.einsum("ij,hjc->hic", weights, pixels)
    np.testing.assert_allclose(unscaled(whole(picture, 4)), expected, atol=1.0)  # eight bits a step


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_random_box_lies_inside_and_has_area_and_ratio_in_bounds(width: int, height: int, seed: int):
    left, upper, right, lower = random_box(width, height, np.random.default_rng(seed))
    assert 0 <= left < right <= width
    assert 0 <= upper < lower <= height
    if width == height:  # a box of some size always fits then; whole pixels widen the bounds
        w, h = right - left, lower - upper
        assert (w + 0.5) * (h + 0.5) >= 0.08 * width * height
        assert (w - 0.5) / (h + 0.5) <= 4 / 3
        assert (h - 0.5) / (w + 0.5) <= 4 / 3


def test_an_extreme_shape_falls_back_to_the_middle():
    boxes = {random_box(100, 1, np.random.default_rng(seed)) for seed in range(50)}
    assert (49, 0, 50, 1) in boxes or (50, 0, 51, 1) in boxes
    assert all(right - left <= 2 for left, _, right, _ in boxes)


def test_area_and_ratio_are_drawn_uniformly():
    draws = 4000
    boxes = [random_box(1000, 1000, np.random.default_rng(seed)) for seed in range(draws)]
    sides = np.array([(right - left, lower - upper) for left, upper, right, lower in boxes], dtype=float)
    areas, ratios = sides.prod(axis=1) / 1e6, np.log(sides[:, 0] / sides[:, 1])
    # Of a symmetric ratio the mean is 0; within 5 standard errors, so it fails once in 1.7 million.
    assert abs(ratios.mean()) < 5 * np.log(4 / 3) / np.sqrt(3 * draws)
    small = areas[areas < 0.7]  # such a box always fits, so that among them the area is uniform
    middle, error = (0.08 + 0.7) / 2, 0.62 / np.sqrt(12 * len(small))
    assert abs(small.mean() - middle) < 5 * error


def test_training_cuts_and_mirrors_by_the_generator_alone():
    picture = noise(20, 16)
    first, again = (augmented(picture, 8, np.random.default_rng(3)) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], (40, 1, 3)))
    frames = [augmented(ramp, 8, np.random.default_rng(seed)) for seed in range(200)]
    mirrored = sum(bool(frame[0, 0, 0] > frame[0, 0, -1]) for frame in frames)
    assert abs(mirrored - 100) < 5 * np.sqrt(50)  # five standard deviations: once in 1.7 million


def test_a_cut_of_a_uniform_picture_is_that_colour():
    colour = (10, 200, 90)
    frame = augmented(Image.new("RGB", (30, 20), colour), 6, np.random.default_rng(0))
    np.testing.assert_allclose(unscaled(frame), np.broadcast_to(colour, (6, 6, 3)), atol=1e-4)


def test_grey_pictures_are_read_as_colours(tmp_path: Path):
    Image.new("L", (4, 4), 77).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.png")), np.full((4, 4, 3), 77))


@pytest.mark.parametrize("keep", [0, 40, 300])
def test_a_broken_picture_is_refused(tmp_path: Path, keep: int):
    path = write_picture(tmp_path / "a.jpg", size=(64, 64))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a\.jpg must be a readable picture"):
        read_picture(path)


def test_grey_is_scaled_but_not_standardised(tmp_path: Path):
    pixels = np.random.RandomState(0).randint(0, 256, (6, 6)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    frame = grey(read_picture(tmp_path / "a.png", "L"), 6)
    assert frame.dtype == torch.float32
    np.testing.assert_allclose(frame.numpy(), pixels[None] / 255, atol=1e-6)


def test_half_are_mirrored_and_none_without_a_generator():
    frame = torch.arange(8, dtype=torch.float32).view(2, 2, 2)
    torch.testing.assert_close(mirrored(frame, None), frame, rtol=0, atol=0)
    random = np.random.default_rng(0)
    flipped = [bool(mirrored(frame, random)[0, 0, 0] == 1) for _ in range(400)]
    assert abs(sum(flipped) - 200) < 5 * np.sqrt(100)  # five standard deviations: once in 1.7 million
