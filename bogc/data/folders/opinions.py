"""Pickles of aligned features of text, voice and face, as the code of CGGM and of MultiBench reads them.

A file is a dict ``train``, ``valid``, ``test`` of dicts ``text``, ``audio``, ``vision``, arrays
[n, time, features], and ``labels``, one number an utterance in any number of axes, such as [n, 1, 1]; what
else it holds is passed over. It is read without running code that it may hold. Released code: zrguo/CGGM at
21e428c, ``datasets/CMUDataset.py``; pliang279/MultiBench at 49f9be2, ``datasets/affect/get_data.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.data.folders.pickles import read_arrays
from bogc.errors import DataError

PARTS: Final = ("train", "valid", "test")
MODALITIES: Final = ("text", "audio", "vision")

_REMEDY: Final = "See the documentation of bogc.data.folders.opinions."


@dataclass(frozen=True, eq=False)
class Opinions:
    """Utterances of one part.

    Attributes:
        inputs: Modality to its features, float32, [n, features, time].
        scores: The labels, float32, [n].
    """

    inputs: dict[str, Float32[Tensor, "n features time"]]
    scores: Float32[Tensor, " n"]


def read_opinions(path: Path) -> dict[str, Opinions]:
    """Read the pickle; as in the released codes, minus infinity in ``audio`` becomes 0.

    Returns:
        "train", "valid" and "test", with features before time.

    Raises:
        DataError: The file is no such pickle, or holds other code, another layout or non-finite numbers.
    """
    content = read_arrays(path)
    missing = [part for part in PARTS if not _is_part(content, part)]
    if missing:
        rule = f"must hold parts {', '.join(PARTS)} with {', '.join(MODALITIES)} and labels"
        raise DataError(str(path), rule, f"no such {', '.join(missing)}", _REMEDY)
    return {part: _opinions(f"{path}, {part}", content[part]) for part in PARTS}


def two_classes(
    name: str, parts: Mapping[str, Opinions], above: float, classes: tuple[str, str]
) -> MultimodalDataset:
    """Put all parts one after the other; a score greater than ``above`` is of the second class.

    The pickles do not reliably say who speaks, so there are no groups.

    Raises:
        BogcError: The errors of ``MultimodalDataset``; parts differ in features or time.
    """
    shapes = {tuple(tuple(p.inputs[m].shape[1:]) for m in MODALITIES) for p in parts.values()}
    if len(shapes) > 1:
        raise DataError(name, "must have one number of features and times", sorted(shapes), _REMEDY)
    inputs = {m: torch.cat([part.inputs[m] for part in parts.values()]) for m in MODALITIES}
    scores = torch.cat([part.scores for part in parts.values()])
    return MultimodalDataset(name, inputs, (scores > above).long(), classes)


def _is_part(content: object, part: str) -> bool:
    if not isinstance(content, Mapping) or not isinstance(content.get(part), Mapping):
        return False
    return all(isinstance(content[part].get(key), np.ndarray) for key in (*MODALITIES, "labels"))


def _opinions(place: str, part: Mapping[str, Any]) -> Opinions:
    scores = _numbers(f"{place}, labels", part["labels"])
    if scores.ndim == 0 or scores.numel() != len(scores):
        raise DataError(f"{place}, labels", "must hold one score each", list(scores.shape), _REMEDY)
    inputs = {}
    for modality in MODALITIES:
        features = _numbers(f"{place}, {modality}", part[modality])
        if features.ndim != 3 or len(features) != len(scores):
            rule = f"must have shape [{len(scores)}, time, features]"
            raise DataError(f"{place}, {modality}", rule, list(features.shape), _REMEDY)
        inputs[modality] = features.transpose(1, 2).contiguous()
    return Opinions(inputs, scores.flatten())


def _numbers(place: str, values: NDArray[Any]) -> Tensor:
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise DataError(place, "must hold real numbers", values.dtype, _REMEDY)
    numbers = torch.from_numpy(values.astype(np.float32))
    if place.endswith("audio"):
        numbers[numbers == -torch.inf] = 0
    if not bool(numbers.isfinite().all()):
        raise DataError(place, "must be finite", "NaN or infinity", "Impute it, or drop the sample.")
    return numbers
