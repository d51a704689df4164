"""CMU-MOSI, CMU-MOSEI and UR-FUNNY: what speakers say and how, from aligned features of text, voice and face.

Each is a pickle, in a folder that an environment variable names, as the code of CGGM and of MultiBench reads
it (zrguo/CGGM at 21e428c, ``datasets/CMUDataset.py``; pliang279/MultiBench at 49f9be2,
``datasets/affect/get_data.py``)::

    BOGC_CMU_MOSI     mosi_data.pkl          how positive the words are, from -3, most negative, to 3
    BOGC_CMU_MOSEI    mosei_senti_data.pkl   the same
    BOGC_UR_FUNNY     humor.pkl              whether the next sentence of a talk is a joke, 1, or not, 0 or -1

A pickle is a dict ``train``, ``valid``, ``test`` of dicts ``text``, ``audio``, ``vision``, arrays
[n, time, features], and ``labels``, one number an utterance in any number of axes, such as [n, 1, 1]; what
else it holds is passed over. It is read without running code that it may hold.

Of the last two MultiBench drops utterances whose text is all zeros; so do the readers. It also cuts leading
frames without text from each utterance of CMU-MOSEI, which the reader does not. What is not known:
BalanceBenchmark's own preparation of CMU-MOSEI, and which features of UR-FUNNY the paper of MIMO used.
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
from bogc.errors import DataError
from paper_repro.readers.files import float32, folder_named_by
from paper_repro.readers.pickles import read_arrays

MOSI: Final = ("BOGC_CMU_MOSI", "mosi_data.pkl")
"""Environment variable with the path of the folder, and the file in it."""
MOSEI: Final = ("BOGC_CMU_MOSEI", "mosei_senti_data.pkl")
UR_FUNNY: Final = ("BOGC_UR_FUNNY", "humor.pkl")
PARTS: Final = ("train", "valid", "test")
MODALITIES: Final = ("text", "audio", "vision")
SENTIMENTS: Final = ("not positive", "positive")
JOKES: Final = ("no joke", "joke")

_REMEDY: Final = "See the documentation of paper_repro.readers.opinions."


@dataclass(frozen=True, eq=False)
class Opinions:
    """Utterances of one part.

    Attributes:
        inputs: Modality to its features, float32, [n, features, time].
        scores: The labels, float32, [n].
    """

    inputs: dict[str, Float32[Tensor, "n features time"]]
    scores: Float32[Tensor, " n"]


def load_cmu_mosi() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset paper_repro.readers.opinions:load_cmu_mosi``.

    The classes are those of the accuracy in the released code: a score above 0 is positive, 0 is not. There
    are no groups: bogc's own folds have the same speakers on both sides, which the published parts do not.
    Use :func:`read_opinions` for these parts.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features, time].

    Raises:
        ConfigError: ``BOGC_CMU_MOSI`` does not name a folder.
        DataError: The file is not as described.
    """
    return two_classes("cmu-mosi", read_opinions(named(MOSI)), 0.0, SENTIMENTS)


def load_cmu_mosei() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset paper_repro.readers.opinions:load_cmu_mosei``.

    A score above 0 is positive, 0 is not, as in MultiBench. There are no groups. Results and errors are those
    of :func:`load_cmu_mosi`, with ``BOGC_CMU_MOSEI``.
    """
    return two_classes("cmu-mosei", read_cmu_mosei(named(MOSEI)), 0.0, SENTIMENTS)


def load_ur_funny() -> MultimodalDataset:
    """Load all parts, one after the other, for ``--dataset paper_repro.readers.opinions:load_ur_funny``.

    There are no groups: bogc's own folds may have one talk on both sides. Results and errors are those of
    :func:`load_cmu_mosi`, with ``BOGC_UR_FUNNY``.
    """
    return two_classes("ur-funny", read_ur_funny(named(UR_FUNNY)), 0.5, JOKES)


def named(place: tuple[str, str]) -> Path:
    """Give the path of a file in the folder that an environment variable names; ConfigError without one."""
    variable, file = place
    return folder_named_by(variable) / file


def read_opinions(path: Path) -> dict[str, Opinions]:
    """Read a pickle; as in the released codes, minus infinity in ``audio`` becomes 0.

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


def read_cmu_mosei(path: Path) -> dict[str, Opinions]:
    """Read a pickle without utterances whose text is all zeros; see :func:`read_opinions`."""
    return {part: _spoken(opinions) for part, opinions in read_opinions(path).items()}


def read_ur_funny(path: Path) -> dict[str, Opinions]:
    """Read a pickle without utterances whose text is all zeros; see :func:`read_opinions`.

    Returns:
        "train", "valid" and "test"; a score is 1 for a joke and 0, or -1, for none.

    Raises:
        DataError: As ``read_opinions``, and if a label is another number.
    """
    parts = {part: _spoken(opinions) for part, opinions in read_opinions(path).items()}
    for part, opinions in parts.items():
        other = sorted({float(s) for s in opinions.scores} - {-1.0, 0.0, 1.0})
        if other:
            rule = "must be 1 for a joke, else 0 or -1"
            raise DataError(f"{path}, {part}, labels", rule, other[:3], _REMEDY)
    return parts


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


def _spoken(opinions: Opinions) -> Opinions:
    """Drop the utterances whose text is all zeros."""
    kept = (opinions.inputs["text"] != 0).flatten(1).any(dim=1)
    return Opinions({m: values[kept] for m, values in opinions.inputs.items()}, opinions.scores[kept])


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
    numbers = torch.from_numpy(float32(values)).clone()
    if place.endswith("audio"):
        numbers[numbers == -torch.inf] = 0
    if not bool(numbers.isfinite().all()):
        raise DataError(place, "must be finite", "NaN or infinity", "Impute it, or drop the sample.")
    return numbers
