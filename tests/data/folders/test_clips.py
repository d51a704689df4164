from pathlib import Path

import numpy as np
import pytest
import torch

from bogc.data import Items, MultimodalDataset
from bogc.data.folders.clips import AudioVisualClips, Clip
from bogc.data.folders.frames import read_picture, whole
from bogc.errors import DataError

from .made import write_picture


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
