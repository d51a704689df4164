"""AV-MNIST: MNIST digits that are seen and heard (in the layout of I2M2's code).

The folder, named by the environment variable ``BOGC_AV_MNIST``, is what the released code of I2M2
(divyam3897/I2M2) reads; a copy of it is handed round::

    image/train_data.npy    [60000, 784], 0 to 255         image/test_data.npy    [10000, 784]
    audio/train_data.npy    [60000, 112, 112], 0 to 255    audio/test_data.npy    [10000, 112, 112]
    train_labels.npy        [60000], 0 to 9                test_labels.npy        [10000]

There is no official generator. :func:`make_av_mnist` makes such a folder from MNIST and a folder of spoken
digits: another data set than the one the papers use, so that numbers on it cannot be compared with theirs.
Recordings are named DIGIT_SPEAKER_INDEX.wav, as those of the Free Spoken Digit Dataset are; recordings with
INDEX 0 to 4 are its test part, and ours.
"""

import math
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.data.mnist_halves import PUBLISHED_TRAIN, load_mnist_halves
from bogc.errors import DataError
from paper_repro.readers.files import existing, float32, folder_named_by, read_array
from paper_repro.readers.sounds import log_spectrogram, read_wave

FOLDER: Final = "BOGC_AV_MNIST"
"""Environment variable with the path of the folder."""
PARTS: Final = ("train", "test")
IMAGE_SIDE: Final = 28
AUDIO_SIDE: Final = 112

_REMEDY: Final = "See the documentation of paper_repro.readers.av_mnist."


def load_av_mnist() -> MultimodalDataset:
    """Load both parts, training first, for ``--dataset paper_repro.readers.av_mnist:load_av_mnist``.

    I2M2 trains on the first 55,000, validates on the next 5,000 and tests on the last 10,000. The 70,000
    samples take 3.7 GB; bogc's standardisation needs several times as much for a while.

    Returns:
        ``image``, float32 [n, 1, 28, 28], and ``audio``, float32 [n, 1, 112, 112], both divided by 255.

    Raises:
        ConfigError: ``BOGC_AV_MNIST`` does not name a folder.
        DataError: The folder is not as described.
    """
    return read_av_mnist(folder_named_by(FOLDER))


def read_av_mnist(folder: Path) -> MultimodalDataset:
    """Read a folder, of any number of samples; see :func:`load_av_mnist`."""
    labels = [_array(folder / f"{part}_labels.npy") for part in PARTS]
    for part, values in zip(PARTS, labels, strict=True):
        if values.ndim != 1 or not np.isin(values, range(10)).all():
            rule = "must be a vector of 0 to 9"
            raise DataError(f"{part}_labels.npy", rule, list(values.shape), _REMEDY)
    sizes = [len(values) for values in labels]
    return MultimodalDataset(
        name="av-mnist",
        inputs={
            "image": _pictures(folder / "image", sizes, IMAGE_SIDE),
            "audio": _pictures(folder / "audio", sizes, AUDIO_SIDE),
        },
        targets=torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        class_names=tuple("0123456789"),
    )


def training_samples(folder: Path) -> int:
    """Count the samples of the training part, which come first.

    Raises:
        DataError: There is no such list of labels.
    """
    return len(_array(folder / "train_labels.npy"))


def _pictures(folder: Path, sizes: list[int], side: int) -> Tensor:
    """Read both parts as float32 [n, 1, side, side], divided by 255."""
    parts = []
    for part, size in zip(PARTS, sizes, strict=True):
        path = folder / f"{part}_data.npy"
        values = _array(path)
        if len(values) != size or values.size != size * side * side:
            rule = f"must have shape [{size}, {side}, {side}]"
            raise DataError(str(path), rule, list(values.shape), _REMEDY)
        parts.append(torch.from_numpy(float32(values)).view(size, 1, side, side))
    return torch.cat(parts).div_(255)


def _array(path: Path) -> NDArray[Any]:
    rule = "must be an array of numbers in npy format"
    values = read_array(path, rule, _REMEDY, "iuf")
    if values.ndim == 0:
        raise DataError(str(path), rule, "a single one", _REMEDY)
    return values


RATE: Final = 8000  # Hz; one second is used, silence filling what is missing
WINDOW: Final = 222  # samples, which makes 112 frequencies
HOP: Final = 72  # samples, which makes 112 frames
RANGE: Final = 80.0  # decibels below the loudest point of a recording, which become 0 to 255
TEST_INDICES: Final = 5

_NAME: Final = re.compile(r"([0-9])_(.+)_([0-9]+)\.wav")

_Bytes: TypeAlias = NDArray[np.uint8]


def make_av_mnist(spoken: Path, folder: Path, seed: int = 0, cache_dir: Path | None = None) -> None:
    """Make all 70,000 samples; needs about 2 GB of memory and 1.1 GB on disk.

    For instance ``python -c "from pathlib import Path; from paper_repro.readers.av_mnist import
    make_av_mnist; make_av_mnist(Path('recordings'), Path('av-mnist'))"``.

    Args:
        spoken: Folder of the recordings.
        folder: New folder, in the layout above.
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
