"""UCF101: videos of 101 actions, as colour frames and optical flow (in the layout of BalanceBenchmark).

The folder, named by the environment variable ``BOGC_UCF101``, holds what the released loader of
BalanceBenchmark (GeWu-Lab/BalanceBenchmark, commit 4c1482f) reads::

    classInd.txt                       of the data set: lines NUMBER ACTION
    trainlist01.txt, testlist01.txt    of the data set: lines ACTION/NAME.avi, a number after it or not
    rgb/NAME/frame_0000N.jpg           N from 1 to 6
    flow/u/NAME/frame00NNNN.jpg        horizontal flow, NNNN from 0001 on, grey pictures
    flow/v/NAME/frame00NNNN.jpg        vertical flow of the same frames

The loader takes these paths as arguments; the names of the folders are ours. What is not known: which of the
three splits was used, from which seconds of a video the six colour frames were taken, and how the flow was
computed and scaled to pictures.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from bogc.checks import check_number
from bogc.errors import DataError
from paper_repro.readers.clips import grey, mirrored, one_a_piece, read_picture, whole
from paper_repro.readers.files import existing, listed, read_lines

FOLDER: Final = "BOGC_UCF101"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
COLOUR_FRAMES: Final = 6  # of each video, the first ones
PIECES: Final = 3  # of colour frames and of flow, one picture of each

_REMEDY: Final = "Prepare the folder as the documentation of paper_repro.readers.ucf101 says."


@dataclass(frozen=True)
class Video:
    """One video on disk.

    Attributes:
        name: What errors call it.
        frames: Colour frames, in order of time.
        flow: Horizontal and vertical flow, in order of time.
        target: Index of its action.
    """

    name: str
    frames: tuple[Path, ...]
    flow: tuple[tuple[Path, Path], ...]
    target: int


@dataclass(frozen=True)
class FlowVideos:
    """Videos as the items that ``MultimodalDataset.from_items`` and torch's ``DataLoader`` take.

    Attributes:
        videos: The samples.
        class_names: One name an action.
        side: Height and width of a picture, in pixels.
    """

    videos: tuple[Video, ...]
    class_names: tuple[str, ...]
    side: int

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int, /) -> tuple[dict[str, Tensor], int]:
        """Read one video for evaluation: the middle picture of each third, without anything random.

        Returns:
            ``visual``, float32 [3, 3, side, side] (colour, time, height, width), standardised by
            ``frames.MEAN`` and ``frames.DEVIATION``, and ``flow``, float32 [2, 3, side, side] (u and v), from
            0 to 1 as stored; the class index.

        Raises:
            DataError: A file is missing or broken.
            IndexError: There is no such video.
        """
        return self._item(self.videos[index], None)

    def training_item(self, index: int, random: np.random.Generator) -> tuple[dict[str, Tensor], int]:
        """Read one video for training: one picture of each third, half of all pictures mirrored.

        As released, every picture is mirrored by itself, u and v of one frame too, and not negated then.
        """
        return self._item(self.videos[index], random)

    def subset(self, indices: Iterable[int]) -> "FlowVideos":
        """Keep the videos at ``indices``, in their order."""
        return replace(self, videos=tuple(self.videos[index] for index in indices))

    def _item(self, video: Video, random: np.random.Generator | None) -> tuple[dict[str, Tensor], int]:
        colour = [video.frames[index] for index in one_a_piece(PIECES, len(video.frames), random)]
        flow = [video.flow[index] for index in one_a_piece(PIECES, len(video.flow), random)]
        visual = [mirrored(whole(read_picture(path), self.side), random) for path in colour]
        both = [torch.cat([self._flow(path, random) for path in paths]) for paths in flow]
        return {"visual": torch.stack(visual, dim=1), "flow": torch.stack(both, dim=1)}, video.target

    def _flow(self, path: Path, random: np.random.Generator | None) -> Float32[Tensor, "1 side side"]:
        return mirrored(grey(read_picture(path, "L"), self.side), random)


def read_ucf101(folder: Path, part: str, side: int = 224) -> FlowVideos:
    """List the videos of a part of the first split; they are read when asked for.

    The released loader leaves out videos whose folders are missing without a word; here that is an error.
    Actions are numbered in alphabetical order. In float32 a video takes 3 MB.

    Args:
        folder: As described above.
        part: "train" or "test".
        side: Height and width of a picture, in pixels.

    Raises:
        DataError: There is no such part, a file is missing, a line is another one, or there are too few
            frames.
        RangeError: ``side`` is not positive.
    """
    check_number("side", side, side >= 1, "must be at least 1", "Use 224.")
    if part not in PARTS:
        raise DataError("part", f"must be one of {', '.join(PARTS)}", repr(part), "Choose one of them.")
    actions = _actions(existing(folder / "classInd.txt", _REMEDY))
    path = existing(folder / f"{part}list01.txt", _REMEDY)
    lines = [line for line in read_lines(path, _REMEDY) if line.strip()]
    if len(lines) < 2:
        raise DataError(str(path), "must list two videos or more", len(lines), _REMEDY)
    videos = [_video(folder, f"{path}, video {n}", line, actions) for n, line in enumerate(lines, start=1)]
    return FlowVideos(tuple(videos), actions, side)


def _actions(path: Path) -> tuple[str, ...]:
    rows = [line.split() for line in read_lines(path, _REMEDY) if line.strip()]
    wrong = [row for row in rows if len(row) != 2]
    if wrong or len(rows) < 2:
        raise DataError(str(path), "must have two lines or more NUMBER ACTION", wrong[:1] or rows, _REMEDY)
    return tuple(sorted(action for _, action in rows))


def _video(folder: Path, place: str, line: str, actions: tuple[str, ...]) -> Video:
    action, _, file = line.split(maxsplit=1)[0].partition("/")
    name = file.partition(".")[0]
    if not name or action not in actions:
        raise DataError(
            place, "must read ACTION/NAME.avi with an action of classInd.txt", repr(line), _REMEDY
        )
    listed(place, name, _REMEDY)
    frames = _pictures(folder / "rgb" / name, COLOUR_FRAMES)[:COLOUR_FRAMES]
    u, v = (_pictures(folder / "flow" / direction / name, PIECES) for direction in "uv")
    if [path.name for path in u] != [path.name for path in v]:
        rule = "must have horizontal and vertical flow of the same frames"
        raise DataError(place, rule, f"{len(u)} and {len(v)} of {name}", _REMEDY)
    return Video(name, frames, tuple(zip(u, v, strict=True)), actions.index(action))


def _pictures(folder: Path, fewest: int) -> tuple[Path, ...]:
    found = tuple(sorted(existing(folder, _REMEDY).glob("*.jpg")))
    if len(found) < fewest:
        raise DataError(str(folder), f"must hold {fewest} frames or more", len(found), "Extract more.")
    return found
