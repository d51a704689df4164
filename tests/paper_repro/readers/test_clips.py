from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bogc.data import Items, MultimodalDataset
from bogc.errors import DataError, RangeError
from paper_repro.readers.clips import (
    DEVIATION,
    MEAN,
    AudioVisualClips,
    Clip,
    all_frames,
    augmented,
    grey,
    mirrored,
    one_a_piece,
    one_a_third,
    random_box,
    read_picture,
    whole,
)

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


SEEDS = st.none() | st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(st.integers(1, 8), st.integers(0, 40), SEEDS)
def test_one_of_each_piece_is_used(pieces: int, more: int, random: np.random.Generator | None):
    count = pieces + more
    indices = one_a_piece(pieces, count, random)
    length = count // pieces
    assert [index // length for index in indices] == list(range(pieces))


@pytest.mark.parametrize(
    ("pieces", "count", "expected"),
    # frames numbered from 1: i * seg + max(int(seg / 2), 1), with seg = int(count / pieces)
    [(3, 6, [0, 2, 4]), (3, 10, [0, 3, 6]), (2, 4, [0, 2]), (3, 13, [1, 5, 9]), (2, 3, [0, 1])],
)
def test_without_a_generator_it_is_the_middle(pieces: int, count: int, expected: list[int]):
    assert one_a_piece(pieces, count) == expected


def test_every_frame_of_a_piece_is_drawn_equally_often():
    random = np.random.default_rng(0)
    drawn = np.array([one_a_piece(2, 8, random) for _ in range(4000)])
    for piece in range(2):
        counts = np.bincount(drawn[:, piece] - 4 * piece, minlength=4)
        # a count of 4000 draws with chance 1/4, within 6 standard deviations: eight tests fail once in 6e7
        assert np.abs(counts - 1000).max() < 6 * np.sqrt(4000 * 3 / 16)


@given(st.integers(1, 6), SEEDS)
def test_of_few_frames_the_first_is_used_for_all_thirds(count: int, random: np.random.Generator | None):
    assert one_a_third(count, random) == [0, 0, 0]


@given(st.integers(7, 200), SEEDS)
def test_no_frame_after_the_ninth_is_used(count: int, random: np.random.Generator | None):
    indices = one_a_third(count, random)
    assert indices == sorted(indices)
    assert len(indices) == 3
    assert max(indices) <= 8


def test_too_few_frames_are_refused():
    with pytest.raises(RangeError, match="count must be at least 3, one a piece; found 2"):
        one_a_piece(3, 2)
    with pytest.raises(RangeError, match="count must be at least 1; found 0"):
        one_a_third(0)


@given(st.integers(0, 9), SEEDS)
def test_all_are_used_by_default(count: int, random: np.random.Generator | None):
    assert all_frames(count, random) == list(range(count))


def read_sound(path: Path, random: np.random.Generator | None) -> torch.Tensor:
    start = 0.0 if random is None else float(random.random())
    return torch.full((1, 2, 3), len(path.name) + start, dtype=torch.float32)


@pytest.fixture
def clips(tmp_path: Path) -> AudioVisualClips:
    listed = []
    for index, name in enumerate(["a", "bb", "ccc"]):
        frames = [write_picture(tmp_path / f"{name}{t}.png", level=20 * index + t) for t in range(2)]
        listed.append(Clip(name, tmp_path / name, tuple(frames), index % 2))
    return AudioVisualClips("made", tuple(listed), ("even", "odd"), read_sound, side=8)


def test_an_item_holds_the_sound_and_the_frames_in_order_of_time(clips: AudioVisualClips):
    inputs, target = clips[1]
    assert target == 1
    assert float(inputs["audio"][0, 0, 0]) == 2.0
    assert inputs["visual"].shape == (3, 2, 8, 8)
    for t, path in enumerate(clips.clips[1].frames):
        torch.testing.assert_close(inputs["visual"][:, t], whole(read_picture(path), 8))


def test_a_training_item_depends_on_the_generator_alone(clips: AudioVisualClips):
    first, again, other = (clips.training_item(2, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    for modality in ("audio", "visual"):
        torch.testing.assert_close(first[modality], again[modality], rtol=0, atol=0)
        assert not torch.equal(first[modality], other[modality])
    assert not torch.equal(first["visual"][:, 0], first["visual"][:, 1])  # each frame is cut by itself


def test_clips_make_a_data_set_in_memory(clips: AudioVisualClips):
    assert isinstance(clips, Items)
    dataset = MultimodalDataset.from_items(clips, clips.name, clips.class_names)
    assert dataset.inputs["visual"].shape == (3, 3, 2, 8, 8)
    assert dataset.targets.tolist() == clips.targets.tolist() == [0, 1, 0]


def test_a_torch_loader_takes_them(clips: AudioVisualClips):
    inputs, targets = next(iter(torch.utils.data.DataLoader(clips, batch_size=2)))
    assert inputs["visual"].shape == (2, 3, 2, 8, 8)
    assert targets.tolist() == [0, 1]


def test_a_subset_keeps_order(clips: AudioVisualClips):
    assert [clip.name for clip in clips.subset([2, 0]).clips] == ["ccc", "a"]
    assert len(clips.subset([])) == 0


def test_a_missing_frame_is_an_error_of_its_file(clips: AudioVisualClips):
    clips.clips[0].frames[1].unlink()
    with pytest.raises(DataError, match=r"a1\.png must be a readable picture"):
        clips[0]
    with pytest.raises(IndexError, match="out of range"):
        clips[3]
