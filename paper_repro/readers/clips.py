"""Clips of sound and video frames, read from their files when asked for.

Frames are one file each: some of a clip are picked, then each is cut, scaled to a square and standardised.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from jaxtyping import Float32, Int64
from PIL import Image
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError

MEAN: Final = (0.485, 0.456, 0.406)
"""Subtracted from red, green and blue in [0, 1]: the usual statistics of ImageNet."""
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Divided by."""

FORMATS: Final = ("JPEG", "PNG")  # others start programs, or are of no use here
LARGEST_PICTURE: Final = 1 << 26  # pixels

_AREAS: Final = (0.08, 1.0)  # share of the picture that a random cut keeps
_RATIOS: Final = (3 / 4, 4 / 3)  # of its width to its height
_ATTEMPTS: Final = 10

Frame = Float32[Tensor, "3 side side"]
Grey = Float32[Tensor, "1 side side"]
Box = tuple[int, int, int, int]  # left, upper, right and lower edge in pixels


def read_picture(path: Path, mode: str = "RGB") -> Image.Image:
    """Read a JPEG or PNG as red, green and blue, or as grey in mode "L"; DataError if it is none."""
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > LARGEST_PICTURE:
                raise ValueError(f"{picture.width} x {picture.height} pixels")
            return picture.convert(mode)
    except Exception as error:  # a damaged file may raise anything
        rule = "must be a readable picture, JPEG or PNG"
        raise DataError(str(path), rule, error, "Extract it again.") from error


def whole(picture: Image.Image, side: int) -> Frame:
    """Scale the whole picture to ``side`` x ``side`` pixels, whatever its shape; for evaluation."""
    return _standardised(picture, side)


def augmented(picture: Image.Image, side: int, random: np.random.Generator) -> Frame:
    """Cut a random box, see :func:`random_box`, scale it, and mirror half of them; for training."""
    box = random_box(picture.width, picture.height, random)
    return mirrored(_standardised(picture.crop(box), side), random)


def unit(picture: Image.Image, side: int) -> Frame:
    """Scale the whole picture; from 0 to 1, not standardised."""
    return _scaled(picture, side)


def grey(picture: Image.Image, side: int) -> Grey:
    """As above, for a picture of one channel."""
    return _scaled(picture, side)


def mirrored(frame: Float32[Tensor, "channels side side"], random: np.random.Generator | None) -> Tensor:
    """Mirror half of all frames, left to right; without a generator none."""
    return frame.flip(-1) if random is not None and random.random() < 0.5 else frame


def random_box(width: int, height: int, random: np.random.Generator) -> Box:
    """Draw a box of 8 to 100 % of the area, uniform, and of ratio 3:4 to 4:3, uniform in its logarithm.

    The first of ten draws that fits is taken; if none does, the largest box in the middle whose ratio lies in
    these bounds. This is the "random resized crop" that the papers' code trains with.
    """
    logarithms = np.log(_RATIOS)
    for _ in range(_ATTEMPTS):
        area = width * height * random.uniform(*_AREAS)
        ratio = math.exp(random.uniform(*logarithms))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, upper = (int(random.integers(0, room + 1)) for room in (width - w, height - h))
            return left, upper, left + w, upper + h
    w = min(width, max(1, round(height * _RATIOS[1])))
    h = min(height, max(1, round(width / _RATIOS[0])))
    left, upper = (width - w) // 2, (height - h) // 2
    return left, upper, left + w, upper + h


def _standardised(picture: Image.Image, side: int) -> Frame:
    mean, deviation = (torch.tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (MEAN, DEVIATION))
    return (_scaled(picture, side) - mean) / deviation


def _scaled(picture: Image.Image, side: int) -> Float32[Tensor, "channels side side"]:
    scaled = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(scaled.copy()).reshape(side, side, -1)
    return pixels.permute(2, 0, 1).float() / 255


Pick: TypeAlias = Callable[[int, np.random.Generator | None], list[int]]
"""Number of frames to the indices of those that are used; with a generator at random, for training."""

PIECES: Final = 3  # of a clip of Kinetics-Sounds or VGGSound
FEW: Final = 6  # up to as many frames, the first one stands for all pieces
LAST: Final = 8  # largest index that is used


def all_frames(count: int, random: np.random.Generator | None = None) -> list[int]:
    """Use every frame."""
    return list(range(count))


def one_a_piece(pieces: int, count: int, random: np.random.Generator | None = None) -> list[int]:
    """Cut ``count`` frames into equal pieces, leaving out the rest, and use one of each.

    With a generator it is drawn; without one it is the middle frame, of an even number the earlier one of the
    two, as in the released code of BalanceBenchmark for UCF101.

    Raises:
        RangeError: There are fewer frames than pieces.
    """
    enough = f"must be at least {pieces}, one a piece"
    check_number("count", count, count >= pieces >= 1, enough, "Use fewer pieces, or extract more frames.")
    length = count // pieces
    middle = max(length // 2, 1) - 1
    within = [middle] * pieces if random is None else random.integers(0, length, pieces).tolist()
    return [piece * length + offset for piece, offset in enumerate(within)]


def one_a_third(count: int, random: np.random.Generator | None = None) -> list[int]:
    """Use one frame of each third, as BalanceBenchmark does for Kinetics-Sounds and VGGSound.

    With six frames or fewer the first one is used three times; no frame after the ninth is used.

    Raises:
        RangeError: There is no frame.
    """
    check_number("count", count, count >= 1, "must be at least 1", "Extract the frames again.")
    if count <= FEW:
        return [0] * PIECES
    return [min(index, LAST) for index in one_a_piece(PIECES, count, random)]


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
