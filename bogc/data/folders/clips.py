"""Clips of sound and video frames, read from their files when asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from bogc.data.folders.frames import augmented, read_picture, whole
from bogc.data.folders.picking import Pick, all_frames

ReadSound = Callable[[Path, np.random.Generator | None], Float32[Tensor, "1 frequencies frames"]]
"""File to spectrogram; with a generator, of a random part of it where the paper trains on such parts."""


@dataclass(frozen=True)
class Clip:
    """One sample on disk.

    Attributes:
        name: What errors and lists call it.
        sound: File of its sound.
        frames: Files of the frames to pick from, in order of time.
        target: Index of its class.
    """

    name: str
    sound: Path
    frames: tuple[Path, ...]
    target: int


@dataclass(frozen=True)
class AudioVisualClips:
    """Clips as the items that ``MultimodalDataset.from_items`` and torch's ``DataLoader`` take.

    Attributes:
        name: What reports call the data set.
        clips: The samples.
        class_names: One name a class.
        read_sound: Makes ``audio`` from a file.
        side: Height and width of a frame, in pixels.
        pick: Which T of a clip's frames are used; all by default.
    """

    name: str
    clips: tuple[Clip, ...]
    class_names: tuple[str, ...]
    read_sound: ReadSound
    side: int
    pick: Pick = all_frames

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int, /) -> tuple[dict[str, Tensor], int]:
        """Read one clip for evaluation, without anything random.

        Returns:
            ``audio``, float32 [1, frequencies, frames], and ``visual``, float32 [3, T, side, side], whole
            frames standardised by ``frames.MEAN`` and ``frames.DEVIATION``; the class index.

        Raises:
            DataError: A file is missing or broken.
            IndexError: There is no such clip.
        """
        clip = self.clips[index]
        picked = [clip.frames[index] for index in self.pick(len(clip.frames), None)]
        frames = [whole(read_picture(path), self.side) for path in picked]
        return self._item(clip, frames, None)

    def training_item(self, index: int, random: np.random.Generator) -> tuple[dict[str, Tensor], int]:
        """Read one clip for training: as above, with every frame cut and mirrored at random by itself."""
        clip = self.clips[index]
        picked = [clip.frames[index] for index in self.pick(len(clip.frames), random)]
        frames = [augmented(read_picture(path), self.side, random) for path in picked]
        return self._item(clip, frames, random)

    @property
    def targets(self) -> Int64[Tensor, " n"]:
        """Class index of every clip."""
        return torch.tensor([clip.target for clip in self.clips], dtype=torch.int64)

    def subset(self, indices: Iterable[int]) -> "AudioVisualClips":
        """Keep the clips at ``indices``, in their order."""
        return replace(self, clips=tuple(self.clips[index] for index in indices))

    def _item(
        self, clip: Clip, frames: list[Tensor], random: np.random.Generator | None
    ) -> tuple[dict[str, Tensor], int]:
        audio = self.read_sound(clip.sound, random)
        return {"audio": audio, "visual": torch.stack(frames, dim=1)}, clip.target
