"""CREMA-D: actors say a sentence in one of six emotions; voice and face (in the layout of OGM-GE's code).

The folder, named by the environment variable ``BOGC_CREMA_D``, holds what the data set's own repository and
the released code of OGM-GE (GeWu-Lab/OGM-GE_CVPR2022, arXiv 2203.15332) make::

    AudioWAV/NAME.wav              from the data set
    Image-01-FPS/NAME/*.jpg        from its videos, one frame a second, by OGM-GE's video_preprocessing.py
    train.csv, test.csv            OGM-GE's data/CREMAD: lines NAME,EMOTION; 6,698 and 744 of them

A clip's NAME, such as 1001_IEO_HAP_LO, begins with the number of its actor.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from bogc.checks import check_number
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError
from paper_repro.readers.clips import AudioVisualClips, Clip, Pick, all_frames
from paper_repro.readers.files import existing, folder_named_by, listed, read_rows
from paper_repro.readers.sounds import log_spectrogram, read_wave, repeated

FOLDER: Final = "BOGC_CREMA_D"
"""Environment variable with the path of the folder."""
CLASSES: Final = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
PARTS: Final = ("train", "test")
RATE: Final = 22_050  # Hz
SECONDS: Final = 3
WINDOW: Final = 512  # samples of a frame of the spectrogram
HOP: Final = 353

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.crema_d says."


def load_crema_d() -> MultimodalDataset:
    """Load the whole data set into memory, for ``--dataset paper_repro.readers.crema_d:load_crema_d``.

    First the clips of train.csv, then those of test.csv. ``groups`` holds the actor, so that bogc's own folds
    test on actors that were not trained on; the released split does not. Without augmentation. The 7,442
    clips take 5.9 GB (0.8 MB each), twice that while they are read, and about 25 GB while ``bogc train``
    standardises them in float64 (counted, not measured); :func:`read_crema_d` reads them one by one.

    Returns:
        ``audio``, float32 [n, 1, 257, 188], and ``visual``, float32 [n, 3, 224, 224], the first frame.

    Raises:
        ConfigError: ``BOGC_CREMA_D`` does not name a folder.
        DataError: The folder is not as described.
    """
    folder = folder_named_by(FOLDER)
    train, test = (read_crema_d(folder, part) for part in PARTS)
    both = replace(train, clips=train.clips + test.clips)
    groups = torch.tensor([_actor(clip.name) for clip in both.clips])
    stacked = MultimodalDataset.from_items(both, both.name, CLASSES, groups)
    return replace(stacked, inputs={**stacked.inputs, "visual": stacked.inputs["visual"].squeeze(2)})


def read_crema_d(
    folder: Path, part: str, frames: int = 1, side: int = 224, pick: Pick | None = None
) -> AudioVisualClips:
    """List the clips of a part of the released split; they are read when asked for.

    The released loader leaves out clips whose files are missing without a word; here that is an error. It
    also takes frames in the order in which the file system lists them, whatever index it draws; here the
    first ones in time are taken.

    Args:
        folder: As described above.
        part: "train" or "test".
        frames: Of each clip, from its first second on; with ``pick``, how many it must have at least.
        side: Height and width of a frame, in pixels.
        pick: Which of all its frames are used instead.

    Returns:
        ``audio``, [1, 257, 188]: see :func:`read_voice`; ``visual``, [3, frames, side, side].

    Raises:
        DataError: There is no such part, a file is missing, a line is not NAME,EMOTION, or there are not two.
        RangeError: ``frames`` or ``side`` is not positive.
    """
    for name, value in {"frames": frames, "side": side}.items():
        check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    path = existing(folder / f"{part}.csv", _REMEDY)
    rows = [row for _, row in read_rows(path, _REMEDY)]
    if len(rows) < 2:
        raise DataError(str(path), "must list two clips or more", len(rows), _REMEDY)
    clips = [_clip(folder, f"{path}, clip {number}", row, frames) for number, row in enumerate(rows, start=1)]
    if pick is None:
        clips = [replace(clip, frames=clip.frames[:frames]) for clip in clips]
    return AudioVisualClips("crema-d", tuple(clips), CLASSES, read_voice, side, pick or all_frames)


def read_voice(path: Path, random: np.random.Generator | None = None) -> Float32[Tensor, "1 257 188"]:
    """Make the spectrogram of the released code: 3 s at 22,050 Hz, window 512, hop 353 samples.

    A shorter sound is repeated, a longer one cut. The released code resamples by librosa, whose filter is
    another one than ours.

    Args:
        path: WAV file.
        random: Not used: this paper trains on the beginning of every clip.
    """
    return log_spectrogram(repeated(read_wave(path, RATE), SECONDS * RATE), WINDOW, HOP)


def _clip(folder: Path, place: str, row: list[str], frames: int) -> Clip:
    if len(row) < 2 or row[1] not in CLASSES:
        raise DataError(place, f"must read NAME,EMOTION, one of {', '.join(CLASSES)}", row, _REMEDY)
    name = listed(place, row[0], _REMEDY)
    _actor(name)
    sound = existing(folder / "AudioWAV" / f"{name}.wav", _REMEDY)
    pictures = sorted(existing(folder / "Image-01-FPS" / name, _REMEDY).glob("*.jpg"))
    if len(pictures) < frames:
        found = f"{len(pictures)} of {name}"
        raise DataError("frames", f"must be at least {frames} a clip", found, "Use fewer, or extract more.")
    return Clip(name, sound, tuple(pictures), CLASSES.index(row[1]))


def _actor(name: str) -> int:
    number = name.partition("_")[0]
    if not (number.isascii() and number.isdigit()):
        raise DataError("a clip's name", "must begin with the number of its actor", repr(name), _REMEDY)
    return int(number)
