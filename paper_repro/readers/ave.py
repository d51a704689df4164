"""AVE: ten-second videos of 28 audio-visual events (Tian et al. 2018), one event a video.

The folder, named by the environment variable ``BOGC_AVE``, holds what the released code of PMR
(fanyunfeng-bit/Modal-Imbalance-PMR, commit 3615e48) makes of the data set and reads::

    trainSet.txt, valSet.txt, testSet.txt   of the data set: lines EVENT&NAME&good&START&END
    Audio-1004-SE/NAME.pkl                  by PMR's data/AVE/video_preprocessing.py: an array [257, 1004]
    Image-01-FPS-SE/NAME/*.jpg              by the same: one frame a second from START to END, ten at least

The sound is that of the event from START to END at 16,000 Hz, repeated to 10 s; its spectrogram is
``log(scipy.signal.spectrogram(nperseg=512, noverlap=353) + 1e-7)`` minus its mean, over its deviation. If
there are fewer than ten frames, the released script fills up with frames drawn at random; so two preparations
differ. Pickles are read without running code that they may hold.

What is not known: which layout the paper behind a number on AVE used. OGM-GE (commit 343dc1d) reads pickles
and frames of other names, of which neither script nor lists are released. The data set's own code
(YapengTian/AVE-ECCV18) locates events in time from features in HDF5, which is another task.
"""

from pathlib import Path
from typing import Final

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.clips import AudioVisualClips, Clip
from paper_repro.readers.files import existing, listed, read_lines, read_pickled

FOLDER: Final = "BOGC_AVE"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "val", "test")

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.ave says."

Listed = list[tuple[str, str]]
"""Event and name of every video once."""


def read_ave(folder: Path, part: str, frames: int = 4, side: int = 224) -> AudioVisualClips:
    """List the videos of a part; they are read when asked for.

    A video that is listed with several events counts once, with the first of them, as in PMR; OGM-GE keeps
    the last. Events are numbered in the order in which they occur in testSet.txt. The released loader leaves
    out videos whose files are missing without a word; here that is an error. It also takes frames in the
    order in which the file system lists them; here the first ones in time are taken.

    Args:
        folder: As described above.
        part: "train", "val" or "test".
        frames: Of each video; PMR's commands use 4.
        side: Height and width of a frame, in pixels.

    Returns:
        ``audio``, [1, 257, 1004], as stored; ``visual``, [3, frames, side, side].

    Raises:
        DataError: There is no such part, a file is missing, a line is another one, there are too few frames,
            or an event is not among those of testSet.txt.
        RangeError: ``frames`` or ``side`` is not positive.
    """
    for name, value in {"frames": frames, "side": side}.items():
        check_number(name, value, value >= 1, "must be at least 1", "Choose a larger number.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    events = tuple(dict.fromkeys(event for event, _ in _listed(folder, "test")))
    clips = [_clip(folder, events, *video, frames) for video in _listed(folder, part)]
    return AudioVisualClips("ave", tuple(clips), events, read_pickled, side)


def _listed(folder: Path, part: str) -> Listed:
    path = existing(folder / f"{part}Set.txt", _REMEDY)
    found: dict[str, str] = {}
    for number, line in enumerate(read_lines(path, _REMEDY), start=1):
        event, *fields = line.strip().split("&")
        if not line.strip():
            continue
        if not fields or not event or not fields[0]:
            rule = "must read EVENT&NAME&good&START&END"
            raise DataError(f"{path}, line {number}", rule, repr(line), _REMEDY)
        found.setdefault(listed(f"{path}, line {number}", fields[0], _REMEDY), event)
    if len(found) < 2:
        raise DataError(str(path), "must list two videos or more", len(found), _REMEDY)
    return [(event, name) for name, event in found.items()]


def _clip(folder: Path, events: tuple[str, ...], event: str, name: str, frames: int) -> Clip:
    if event not in events:
        rule = f"must be one of the {len(events)} of testSet.txt"
        raise DataError(f"the event of {name}", rule, repr(event), _REMEDY)
    sound = existing(folder / "Audio-1004-SE" / f"{name}.pkl", _REMEDY)
    pictures = sorted(existing(folder / "Image-01-FPS-SE" / name, _REMEDY).glob("*.jpg"))[:frames]
    if len(pictures) < frames:
        found = f"{len(pictures)} of {name}"
        raise DataError("frames", f"must be at least {frames} a video", found, "Use fewer, or extract more.")
    return Clip(name, sound, tuple(pictures), events.index(event))
