"""IEMOCAP: four emotions from text, voice and face, as features in time (in the layout of CGGM's code).

The folder, named by the environment variable ``BOGC_IEMOCAP``, is what the released code of CGGM
(zrguo/CGGM at 21e428c, ``datasets/IEMODataset.py``) reads: the features that were published with the network
MMIN for missing modalities. Utterances are named such as Ses01F_impro01_F000::

    A/comparE.h5            NAME: [time, 130], of at most 350 frames, not yet standardised
    A/comparE_mean_std.h5   FOLD/mean and FOLD/std: [130], over the training part of that fold
    V/denseface.h5          NAME: [time, 342]
    L/bert_large.h5         NAME: [time, 1024]
    target/FOLD/PART_label.npy      [n, 4], one-hot; PART is trn, val or tst
    target/FOLD/PART_int2name.npy   [n, ...], byte strings whose first is NAME

FOLD is 1 to 10: one speaker for validation, one for the test. In place of a file .h5 there may be one .npz
of arrays with the same names. That the columns of a label are anger, happiness, neutral and sadness is what
AIM3-RUC/MEmoBert (``preprocess/iemocap/anote.md``) says of these folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy.typing import NDArray
from torch import Tensor

from bogc.checks import check_number
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError
from paper_repro.readers.files import NUMBERS, find_store, float32, folder_named_by, read_array, read_stored

FOLDER: Final = "BOGC_IEMOCAP"
"""Environment variable with the path of the folder."""
PARTS: Final = {"train": "trn", "valid": "val", "test": "tst"}
CLASSES: Final = ("anger", "happiness", "neutral", "sadness")
FILES: Final = {"text": "L/bert_large", "audio": "A/comparE", "vision": "V/denseface"}
LONGEST_SOUND: Final = 350  # frames, to which every sound is filled with zeros

_REMEDY: Final = "See the documentation of paper_repro.readers.iemocap."


@dataclass(frozen=True, eq=False)
class Utterances:
    """Utterances of one part.

    Attributes:
        inputs: Modality to its features, float32, [n, features, time]; short ones end in zeros.
        emotions: Index into ``CLASSES``, int64, [n].
    """

    inputs: dict[str, Float32[Tensor, "n features time"]]
    emotions: Int64[Tensor, " n"]


def load_iemocap() -> MultimodalDataset:
    """Load all parts of fold 1 in their order, for ``--dataset paper_repro.readers.iemocap:load_iemocap``.

    Sounds are standardised by the training part of that fold. There are no groups: bogc's own folds have the
    same speakers on both sides, which the published ones do not. Use :func:`read_iemocap` for these.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_IEMOCAP`` does not name a folder.
        UnsuitableError: A file is HDF5, and h5py is not installed.
        DataError: The folder is not as described.
    """
    parts = read_iemocap(folder_named_by(FOLDER))
    inputs = {m: torch.cat([part.inputs[m] for part in parts.values()]) for m in FILES}
    return MultimodalDataset(
        "iemocap", inputs, torch.cat([part.emotions for part in parts.values()]), CLASSES
    )


def read_iemocap(folder: Path, fold: int = 1) -> dict[str, Utterances]:
    """Read the three parts of a fold; the released code of CGGM uses fold 1.

    Returns:
        "train", "valid" and "test". All have one length in time: 350 for ``audio``, and that of the longest
        utterance for ``text`` and ``vision``.

    Raises:
        RangeError: ``fold`` is not 1 to 10.
        UnsuitableError, DataError: See :func:`load_iemocap`.
    """
    check_number("fold", fold, 1 <= fold <= 10, "must be from 1 to 10", "Use 1.")
    names, emotions = {}, {}
    for part, short in PARTS.items():
        names[part], emotions[part] = _targets(folder / "target" / str(fold), short)
    every = [name for part in names.values() for name in part]
    features = {m: _features(folder, m, every) for m in FILES}
    features["audio"] = _standardised(folder, fold, features["audio"])
    starts = np.cumsum([0, *(len(part) for part in names.values())]).tolist()
    stacked = {m: _stacked(folder, m, values) for m, values in features.items()}
    return {
        part: Utterances(
            {m: values[start : start + len(emotions[part])] for m, values in stacked.items()}, emotions[part]
        )
        for part, start in zip(PARTS, starts, strict=False)
    }


def _targets(folder: Path, part: str) -> tuple[list[str], Tensor]:
    labels, names = (_array(folder / f"{part}_{kind}.npy") for kind in ("label", "int2name"))
    if (
        labels.dtype.kind not in "iuf"
        or labels.ndim != 2
        or labels.shape[1] != len(CLASSES)
        or len(labels) == 0
    ):
        rule = f"must have shape [n, {len(CLASSES)}], one-hot"
        raise DataError(f"{folder}/{part}_label.npy", rule, list(labels.shape), _REMEDY)
    if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
        raise DataError(f"{folder}/{part}_label.npy", "must be one-hot", "another row", _REMEDY)
    if names.dtype.kind not in "SU" or names.ndim == 0 or len(names) != len(labels) or names.size == 0:
        rule = f"must hold {len(labels)} names"
        raise DataError(f"{folder}/{part}_int2name.npy", rule, f"{names.dtype} {list(names.shape)}", _REMEDY)
    try:
        first = names.reshape(len(names), -1)[:, 0].astype(str).tolist()
    except (UnicodeError, SystemError) as error:  # no ASCII; no letters of Unicode
        raise DataError(f"{folder}/{part}_int2name.npy", "must hold names in ASCII", error, _REMEDY) from None
    return first, torch.from_numpy(labels.argmax(axis=1).astype(np.int64))


def _features(folder: Path, modality: str, names: Sequence[str]) -> list[NDArray[np.float32]]:
    path = find_store(folder / FILES[modality], _REMEDY)
    found = read_stored(path, list(dict.fromkeys(names)))
    widths = {values.shape[1:] for values in found.values()}
    if any(values.ndim != 2 or len(values) == 0 for values in found.values()) or len(widths) > 1:
        rule = "must hold arrays [time, features], of one number of features"
        raise DataError(str(path), rule, sorted(map(str, widths)), _REMEDY)
    return [float32(found[name]) for name in names]


def _standardised(folder: Path, fold: int, sounds: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    path = find_store(folder / "A" / "comparE_mean_std", _REMEDY)
    mean, deviation = read_stored(path, (f"{fold}/mean", f"{fold}/std")).values()
    width = sounds[0].shape[1]
    if mean.shape != (width,) or deviation.shape != (width,) or not (deviation > 0).all():
        rule = f"must hold {width} means and {width} positive deviations for fold {fold}"
        raise DataError(str(path), rule, f"{list(mean.shape)}, {list(deviation.shape)}", _REMEDY)
    return [float32((sound - mean) / deviation) for sound in sounds]


def _stacked(folder: Path, modality: str, sequences: list[NDArray[np.float32]]) -> Tensor:
    """Fill with zeros at the end, and put features before time."""
    longest = max(map(len, sequences))
    if modality == "audio":
        if longest > LONGEST_SOUND:
            rule = f"must have at most {LONGEST_SOUND} frames"
            raise DataError(str(folder / FILES[modality]), rule, longest, _REMEDY)
        longest = LONGEST_SOUND
    stacked = torch.zeros(len(sequences), sequences[0].shape[1], longest, dtype=torch.float32)
    for row, sequence in zip(stacked, sequences, strict=True):
        row[:, : len(sequence)] = torch.from_numpy(sequence).T
    if not bool(stacked.isfinite().all()):
        raise DataError(str(folder / FILES[modality]), "must be finite", "NaN or infinity", _REMEDY)
    return stacked


def _array(path: Path) -> NDArray[Any]:
    return read_array(path, "must be an array in npy format without objects", _REMEDY, NUMBERS + "SU")
