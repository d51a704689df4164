"""Makes an AV-MNIST from MNIST and a folder of spoken digits; there is no official generator.

Ours is therefore another data set than the one the papers use: numbers on it cannot be compared with theirs.
Recordings are named DIGIT_SPEAKER_INDEX.wav, as those of the Free Spoken Digit Dataset are; recordings with
INDEX 0 to 4 are its test part, and ours.
"""

import math
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.av_mnist import AUDIO_SIDE
from bogc.data.folders.location import existing
from bogc.data.folders.spectrogram import log_spectrogram
from bogc.data.folders.waves import read_wave
from bogc.data.mnist_halves import PUBLISHED_TRAIN, load_mnist_halves
from bogc.errors import DataError

RATE: Final = 8000  # Hz; one second is used, silence filling what is missing
WINDOW: Final = 222  # samples, which makes 112 frequencies
HOP: Final = 72  # samples, which makes 112 frames
RANGE: Final = 80.0  # decibels below the loudest point of a recording, which become 0 to 255
TEST_INDICES: Final = 5

_NAME: Final = re.compile(r"([0-9])_(.+)_([0-9]+)\.wav")

_Bytes: TypeAlias = NDArray[np.uint8]


def make_av_mnist(spoken: Path, folder: Path, seed: int = 0, cache_dir: Path | None = None) -> None:
    """Make all 70,000 samples; needs about 2 GB of memory and 1.1 GB on disk.

    For instance ``python -c "from pathlib import Path; from bogc.data.folders.av_mnist_builder import
    make_av_mnist; make_av_mnist(Path('recordings'), Path('av-mnist'))"``.

    Args:
        spoken: Folder of the recordings.
        folder: New folder, in the layout of ``av_mnist``.
        seed: Of the choice of recordings.
        cache_dir: Where the MNIST archive (11 MB) is kept; None for the default cache.

    Raises:
        FetchError: MNIST cannot be fetched.
        DataError: See :func:`build`.
    """
    build(load_mnist_halves(cache_dir), PUBLISHED_TRAIN, spoken, folder, seed)


def build(digits: MultimodalDataset, training: int, spoken: Path, folder: Path, seed: int) -> None:
    """Give each picture a random recording of its digit, and write both; complete, or not at all.

    Pictures of the training part get training recordings only, those of the test part test recordings only.

    Args:
        digits: ``left`` and ``right`` halves, [n, 1, 28, 14], in [0, 1].
        training: How many of them, the first ones, are the training part.
        spoken: Folder of the recordings.
        folder: New folder.
        seed: Of the choice of recordings.

    Raises:
        DataError: ``folder`` is there already, a digit of a part has no recording, or one is broken.
    """
    if folder.exists():
        raise DataError(str(folder), "must not exist yet", "it does", "Choose another, or delete it.")
    heard = spectrograms(existing(spoken, "Name the folder of the recordings."))
    pixels = torch.cat([digits.inputs["left"], digits.inputs["right"]], dim=-1).flatten(1).mul(255).round()
    random = np.random.RandomState(seed)  # its stream never changes: a seed names the same data everywhere
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for part, rows in {"train": slice(training), "test": slice(training, None)}.items():
            labels = digits.targets[rows].numpy()
            audio = _assigned(labels, heard[part], part, random)
            for kind, values in {"image": pixels[rows].float().numpy(), "audio": audio}.items():
                (unfinished / kind).mkdir(exist_ok=True)
                np.save(unfinished / kind / f"{part}_data.npy", values)
            np.save(unfinished / f"{part}_labels.npy", labels)
        unfinished.chmod(0o755)
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def spectrograms(spoken: Path) -> dict[str, dict[int, _Bytes]]:
    """Transform the recordings of ``spoken``; other files in it are passed over.

    Returns:
        "train" and "test" -> digit -> uint8 [recordings, 112, 112], in the order of their names.
    """
    found: dict[str, dict[int, list[_Bytes]]] = {"train": {}, "test": {}}
    for path in sorted(spoken.iterdir()):
        if name := _NAME.fullmatch(path.name):
            part = "test" if int(name[3]) < TEST_INDICES else "train"
            found[part].setdefault(int(name[1]), []).append(spectrogram(path))
    return {part: {digit: np.stack(each) for digit, each in of.items()} for part, of in found.items()}


def spectrogram(path: Path) -> _Bytes:
    """Transform the first second of a recording, [112 frequencies, 112 frames], 255 for its loudest point."""
    wave = read_wave(path, RATE)[:RATE]
    levels = log_spectrogram(np.pad(wave, (0, RATE - len(wave))), WINDOW, HOP)[0]
    share = 1 + (levels - levels.max()) * 20 / (RANGE * math.log(10))
    found: _Bytes = (255 * share.clamp(min=0)).round().to(torch.uint8).numpy()
    assert found.shape == (AUDIO_SIDE, AUDIO_SIDE)
    return found


def _assigned(
    labels: NDArray[np.int64], heard: dict[int, _Bytes], part: str, random: np.random.RandomState
) -> _Bytes:
    audio = np.empty((len(labels), AUDIO_SIDE, AUDIO_SIDE), dtype=np.uint8)
    for digit in np.unique(labels):
        if int(digit) not in heard:
            rule = f"must have recordings of {digit} for the {part} part"
            raise DataError("spoken", rule, "none", "Name them DIGIT_SPEAKER_INDEX.wav; 0 to 4 are for test.")
        members = np.flatnonzero(labels == digit)
        audio[members] = heard[int(digit)][random.randint(len(heard[int(digit)]), size=len(members))]
    return audio
