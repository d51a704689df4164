from pathlib import Path

import pytest

from bogc.data import Items
from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.sources import SOURCES, Clips

from .conftest import WRITERS

CONFIG = AudioVisualConfig(frames=2, side=16)


@pytest.mark.parametrize("name", SOURCES)
def test_every_part_gives_items_with_the_channels_that_are_said(name: str, tmp_path: Path):
    source = SOURCES[name]
    folder = WRITERS[source.variable](tmp_path / "made")
    parts = ["train", "test"] + [source.validation] * bool(source.validation)
    for part in parts:
        clips = source.read(folder, part, CONFIG)
        assert isinstance(clips, Items)
        assert isinstance(clips, Clips)
        inputs, target = clips[0]
        assert {m: value.shape[0] for m, value in inputs.items()} == source.channels
        assert 0 <= target < len(clips.class_names)
        assert len(clips.subset([1, 0])) == 2
