"""Frames of a video, one file each: read, cut and scaled to a square, standardised."""

import math
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bogc.errors import DataError

MEAN: Final = (0.485, 0.456, 0.406)
"""Subtracted from red, green and blue in [0, 1]: the usual statistics of ImageNet."""
DEVIATION: Final = (0.229, 0.224, 0.225)
"""Divided by."""

_AREAS: Final = (0.08, 1.0)  # share of the picture that a random cut keeps
_RATIOS: Final = (3 / 4, 4 / 3)  # of its width to its height
_ATTEMPTS: Final = 10

Frame = Float32[Tensor, "3 side side"]
Grey = Float32[Tensor, "1 side side"]
Box = tuple[int, int, int, int]  # left, upper, right and lower edge in pixels


def read_picture(path: Path, mode: str = "RGB") -> Image.Image:
    """Read a picture as red, green and blue, or as grey in mode "L"; DataError if it is not one."""
    try:
        with Image.open(path) as picture:
            return picture.convert(mode)
    except (OSError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(str(path), "must be a readable picture", error, "Extract it again.") from error


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
