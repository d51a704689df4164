"""VGGSound: clips of sounding objects from YouTube, in about 300 classes (in the layout of OGM-GE's code).

The folder, named by the environment variable ``BOGC_VGGSOUND``, holds what the released code of OGM-GE
(GeWu-Lab/OGM-GE_CVPR2022, arXiv 2203.15332, commit 343dc1d) makes of the videos::

    vggsound.csv                                               lines ID,START,CLASS,PART
    PART-audios/PART-set/ID_START.wav                          PART is train or test
    PART-videos/PART-set-img/Image-01-FPS/ID_START.mp4/*.jpg   one frame a second

Videos vanish from YouTube: as in the released loader, clips without sound or with fewer than four frames are
left out. There is no loader into memory, as for the smaller data sets: the clips would not fit.
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.clips import AudioVisualClips, Clip, Pick, all_frames
from paper_repro.readers.files import existing, is_file, listed, read_rows
from paper_repro.readers.sounds import log_spectrogram, read_wave, repeated

FOLDER: Final = "BOGC_VGGSOUND"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
RATE: Final = 16_000  # Hz
SECONDS: Final = 5  # of a sound that are used
LATEST: Final = 5  # second in which they may begin at the latest
WINDOW: Final = 256  # samples of a frame of the spectrogram
HOP: Final = 128
FEWEST_FRAMES: Final = 4

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.vggsound says."


def read_vggsound(
    folder: Path, part: str, frames: int = 3, side: int = 224, pick: Pick | None = None
) -> AudioVisualClips:
    """List the clips of a part that are there; they are read when asked for.

    Classes are numbered in the order in which they first occur among the training clips that are there. With
    its 3 frames a clip takes 2.1 MB in memory.

    Args:
        folder: As described above.
        part: "train" or "test".
        frames: Of each clip, the first ones in time; the released loader takes those that the file system
            lists first.
        side: Height and width of a frame, in pixels.
        pick: Which of all its frames are used instead.

    Returns:
        ``audio``, [1, 129, 626]: see :func:`read_sound`; ``visual``, [3, frames, side, side].

    Raises:
        DataError: There is no such part, the list is missing, a line is another one, the two parts have
            different classes, or no clip is there.
        RangeError: ``frames`` is not from 1 to 4, or ``side`` is not positive.
    """
    valid = 1 <= frames <= FEWEST_FRAMES
    check_number("frames", frames, valid, f"must be from 1 to {FEWEST_FRAMES}", "Use 3.")
    check_number("side", side, side >= 1, "must be at least 1", "Use 224.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    found = {each: _found(folder, each) for each in PARTS}
    classes = tuple(dict.fromkeys(name for name, _ in found["train"]))
    other = sorted(set(classes) ^ {name for name, _ in found["test"]})
    if other or len(classes) < 2:
        rule = "must have the same classes in both parts, two or more"
        raise DataError(str(folder), rule, f"only in one: {other[:5]}; {len(classes)} to train on", _REMEDY)
    numbers = {name: number for number, name in enumerate(classes)}
    used = slice(frames if pick is None else None)
    clips = (Clip(c.name, c.sound, c.frames[used], numbers[name]) for name, c in found[part])
    return AudioVisualClips("vggsound", tuple(clips), classes, read_sound, side, pick or all_frames)


def read_sound(path: Path, random: np.random.Generator | None = None) -> Float32[Tensor, "1 129 626"]:
    """Make the spectrogram of the released code: 5 s at 16,000 Hz, window 256, hop 128 samples.

    A sound shorter than 10 s is repeated. The 5 s begin at a random sample of the first 5 s; without a
    generator after 2.5 s, where the released code is random in tests too.

    Args:
        path: WAV file.
        random: Draws the beginning.
    """
    wave = repeated(read_wave(path, RATE), (SECONDS + LATEST) * RATE)
    start = LATEST * RATE // 2 if random is None else int(random.integers(0, LATEST * RATE + 1))
    return log_spectrogram(wave[start : start + SECONDS * RATE], WINDOW, HOP)


def _found(folder: Path, part: str) -> list[tuple[str, Clip]]:
    """Class and clip, not numbered yet, of every line of the part whose files are there."""
    path = existing(folder / "vggsound.csv", _REMEDY)
    clips = []
    for number, row in read_rows(path, _REMEDY):
        place = f"{path}, line {number}"
        if len(row) != 4 or row[3] not in PARTS:
            raise DataError(place, "must read ID,START,CLASS,PART", row, _REMEDY)
        if row[3] == part:
            name = listed(place, f"{row[0]}_{row[1]}", _REMEDY)
            sound = folder / f"{part}-audios" / f"{part}-set" / f"{name}.wav"
            images = folder / f"{part}-videos" / f"{part}-set-img" / "Image-01-FPS" / f"{name}.mp4"
            pictures = sorted(images.glob("*.jpg"))
            if is_file(sound) and len(pictures) >= FEWEST_FRAMES:
                clips.append((row[2], Clip(name, sound, tuple(pictures), 0)))
    return clips
