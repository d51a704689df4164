"""Kinetics-Sounds: videos of 31 human actions that can be both seen and heard, from Kinetics.

The folder, named by the environment variable ``BOGC_KINETICS_SOUNDS``, holds what two released codes together
make and read: OGM-GE (GeWu-Lab/OGM-GE_CVPR2022, commit 343dc1d) and BalanceBenchmark
(GeWu-Lab/BalanceBenchmark, commit 4c1482f)::

    my_train.txt, my_test.txt        OGM-GE's data/KineticSound: lines NAME,10,CLASS; 14,799 and 2,597 of them
    PART_spec/NAME.npy               by OGM-GE's process_audio.py: log mel filter banks, float32 [1024, 128]
    PART_frames/NAME/frame_0000N.jpg N from 1 on; PART is train or test

What is not known: OGM-GE's own loader reads other columns of other lists and pickled spectrograms, which are
not released, so that it cannot read its own two lists; BalanceBenchmark's loader reads ``.npy`` files and
frames of these names from lists separated by spaces, which are not released either. Lines may therefore be
separated by commas or spaces: the first field is NAME, the last CLASS. Where the lists of the two differ, so
do the clips. How many frames a second there were is not said; nine or more of ten seconds are counted on.
The names of the folders are ours, for the loaders take them as arguments.

Videos vanish from YouTube: as in the released loader, clips without sound or with fewer than four frames are
left out. There is no loader into memory: with its 3 frames a clip takes 2.3 MB.
"""

import re
from pathlib import Path
from typing import Final

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.clips import AudioVisualClips, Clip, Pick, one_a_third
from paper_repro.readers.files import existing, is_file, listed, read_lines, read_npy

FOLDER: Final = "BOGC_KINETICS_SOUNDS"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
CLASSES: Final = 31
FEWEST_FRAMES: Final = 4

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.kinetics_sounds says."


def read_kinetics_sounds(
    folder: Path, part: str, side: int = 224, pick: Pick = one_a_third
) -> AudioVisualClips:
    """List the clips of a part that are there; they are read when asked for.

    Args:
        folder: As described above.
        part: "train" or "test".
        side: Height and width of a frame, in pixels.
        pick: Which frames of a clip are used; as in BalanceBenchmark by default.

    Returns:
        ``audio``, [1, 1024, 128], as stored; ``visual``, [3, 3, side, side].

    Raises:
        DataError: There is no such part, its list is missing, a line is another one, or fewer than two clips
            are there.
        RangeError: ``side`` is not positive.
    """
    check_number("side", side, side >= 1, "must be at least 1", "Use 224.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    path = existing(folder / f"my_{part}.txt", _REMEDY)
    lines = enumerate(read_lines(path, _REMEDY), start=1)
    named = [_fields(f"{path}, line {number}", line) for number, line in lines if line.strip()]
    found = [_clip(folder, part, name, target) for name, target in named]
    clips = tuple(clip for clip in found if clip is not None)
    if len(clips) < 2:
        rule = "must have the files of two clips or more"
        raise DataError(str(folder), rule, f"{len(clips)} of {len(named)} that are listed", _REMEDY)
    names = tuple(str(number) for number in range(CLASSES))
    return AudioVisualClips("kinetics-sounds", clips, names, read_npy, side, pick)


def _fields(place: str, line: str) -> tuple[str, int]:
    fields = re.split(r"[,\s]+", line.strip())
    number = fields[-1]
    if len(fields) < 2 or not (number.isascii() and number.isdigit() and int(number) < CLASSES):
        rule = f"must read NAME,10,CLASS with a class from 0 to {CLASSES - 1}"
        raise DataError(place, rule, repr(line), _REMEDY)
    return listed(place, fields[0], _REMEDY), int(number)


def _clip(folder: Path, part: str, name: str, target: int) -> Clip | None:
    """The clip, or None if its files are not all there."""
    sound = folder / f"{part}_spec" / f"{name}.npy"
    frames = tuple(sorted((folder / f"{part}_frames" / name).glob("*.jpg")))
    return Clip(name, sound, frames, target) if is_file(sound) and len(frames) >= FEWEST_FRAMES else None
