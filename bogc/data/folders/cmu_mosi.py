"""CMU-MOSI: how positive a speaker's words are, from text, voice and face (in the layout of CGGM's code).

The environment variable ``BOGC_CMU_MOSI`` names a folder that holds ``mosi_data.pkl``: the pickle of aligned
features that the released code of CGGM (zrguo/CGGM, arXiv 2411.01409) reads, a dict ``train``, ``valid``,
``test`` of dicts ``text``, ``audio``, ``vision``, arrays [n, time, features], and ``labels``, [n, 1, 1], from
-3, most negative, to 3. It is read without running code that it may hold.
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
from bogc.data.folders.location import folder_named_by
from bogc.data.folders.pickles import read_arrays
from bogc.errors import DataError

FOLDER: Final = "BOGC_CMU_MOSI"
"""Environment variable with the path of the folder."""
FILE: Final = "mosi_data.pkl"
PARTS: Final = ("train", "valid", "test")
MODALITIES: Final = ("text", "audio", "vision")
CLASSES: Final = ("not positive", "positive")

_REMEDY: Final = "See the documentation of bogc.data.folders.cmu_mosi."


@dataclass(frozen=True, eq=False)
class Opinions:
    """Utterances of one part.

    Attributes:
        inputs: Modality to its features, float32, [n, features, time].
        scores: From -3 to 3, float32, [n]; what the paper regresses on.
    """

    inputs: dict[str, Float32[Tensor, "n features time"]]
    scores: Float32[Tensor, " n"]


def load_cmu_mosi() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset bogc.data.folders.cmu_mosi:load_cmu_mosi``.

    The classes are those of the accuracy in the released code: a score above 0 is positive, 0 is not. The
    pickle does not reliably say who speaks, so there are no groups: bogc's own folds have the same speakers
    on both sides, which the published parts do not. Use :func:`read_cmu_mosi` for these parts.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_CMU_MOSI`` does not name a folder.
        DataError: The file is not as described.
    """
    parts = read_cmu_mosi(folder_named_by(FOLDER) / FILE)
    inputs = {m: torch.cat([part.inputs[m] for part in parts.values()]) for m in MODALITIES}
    scores = torch.cat([part.scores for part in parts.values()])
    return MultimodalDataset("cmu-mosi", inputs, (scores > 0).long(), CLASSES)


def read_cmu_mosi(path: Path) -> dict[str, Opinions]:
    """Read the pickle; as in the released code, minus infinity in ``audio`` becomes 0.

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


def _is_part(content: object, part: str) -> bool:
    if not isinstance(content, Mapping) or not isinstance(content.get(part), Mapping):
        return False
    return all(isinstance(content[part].get(key), np.ndarray) for key in (*MODALITIES, "labels"))


def _opinions(place: str, part: Mapping[str, Any]) -> Opinions:
    scores = _numbers(f"{place}, labels", part["labels"])
    if scores.numel() != len(scores):
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
