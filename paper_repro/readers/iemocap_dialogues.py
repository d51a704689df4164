"""IEMOCAP: six emotions, one vector an utterance of text, voice and face (the features of Poria et al. 2017).

The environment variable ``BOGC_IEMOCAP_DIALOGUES`` names a folder that holds ``IEMOCAP_features_raw.pkl``, as
soujanyaporia/multimodal-sentiment-analysis publishes and describes it (4e25770,
``dataset/iemocap/raw/loadIEMOCAP.py``): a sequence of nine

    utterance names, speakers, labels, text, voice, face, sentences    each a dict, dialogue -> list
    training dialogues, test dialogues                                 each a set of names

where text, voice and face are lists of vectors, and labels are 0 to 5: happy, sad, neutral, angry, excited,
frustrated. It is a pickle of Python 2, read without running code that it may hold.

That Huang et al. 2021 used this file is our conclusion, not something they were seen to say: their 13,200 and
3,410 samples are 120 and 31 dialogues, the parts of this file, of 110 slots each.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError
from paper_repro.readers.files import float32, folder_named_by
from paper_repro.readers.pickles import read_arrays

FOLDER: Final = "BOGC_IEMOCAP_DIALOGUES"
"""Environment variable with the path of the folder."""
FILE: Final = "IEMOCAP_features_raw.pkl"
CLASSES: Final = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
MODALITIES: Final = {"text": 3, "audio": 4, "vision": 5}  # place in the file
LABELS: Final = 2
PARTS: Final = {"train": 7, "test": 8}

_REMEDY: Final = "See the documentation of paper_repro.readers.iemocap_dialogues."


@dataclass(frozen=True, eq=False)
class Dialogues:
    """Utterances of one part, dialogue after dialogue in the order of their names.

    Attributes:
        inputs: ``text``, ``audio`` and ``vision``, float32, [n, features].
        emotions: Index into ``CLASSES``, int64, [n].
        lengths: Utterances of each dialogue, int64.
    """

    inputs: dict[str, Float32[Tensor, "n features"]]
    emotions: Int64[Tensor, " n"]
    lengths: Int64[Tensor, " dialogues"]

    @property
    def groups(self) -> Int64[Tensor, " n"]:
        """Number of the dialogue of each utterance, from 0."""
        return torch.repeat_interleave(torch.arange(len(self.lengths)), self.lengths)


def load_iemocap_dialogues() -> MultimodalDataset:
    """Load both parts for ``--dataset paper_repro.readers.iemocap_dialogues:load_iemocap_dialogues``.

    Groups are dialogues; the published parts also have different speakers. Use
    :func:`read_iemocap_dialogues` for these.

    Returns:
        ``text``, ``audio`` and ``vision``, each float32 [n, features].

    Raises:
        ConfigError: ``BOGC_IEMOCAP_DIALOGUES`` does not name a folder.
        DataError: The file is not as described.
    """
    train, test = read_iemocap_dialogues(folder_named_by(FOLDER) / FILE).values()
    inputs = {m: torch.cat([train.inputs[m], test.inputs[m]]) for m in MODALITIES}
    groups = torch.cat([train.groups, test.groups + len(train.lengths)])
    emotions = torch.cat([train.emotions, test.emotions])
    return MultimodalDataset("iemocap-dialogues", inputs, emotions, CLASSES, groups)


def read_iemocap_dialogues(path: Path) -> dict[str, Dialogues]:
    """Read the pickle.

    Returns:
        "train" and "test".

    Raises:
        DataError: The file is no such pickle, or holds other code, another layout or non-finite numbers.
    """
    content = read_arrays(path, encoding="latin1")
    dicts = (LABELS, *MODALITIES.values())
    if (
        not isinstance(content, Sequence)
        or len(content) != 9
        or not all(isinstance(content[i], Mapping) for i in dicts)
        or not all(isinstance(content[i], set | Sequence) and content[i] for i in PARTS.values())
    ):
        rule = "must hold nine parts, in the order of the published file"
        raise DataError(str(path), rule, "another content", _REMEDY)
    return {part: _dialogues(f"{path}, {part}", content, content[at]) for part, at in PARTS.items()}


def _dialogues(place: str, content: Sequence[Any], names: Collection[Any]) -> Dialogues:
    listed = sorted(map(str, names))
    lacking = [name for name in listed for i in (LABELS, *MODALITIES.values()) if name not in content[i]]
    if lacking:
        raise DataError(place, "must have labels and features of every dialogue", lacking[0], _REMEDY)
    labels = [_numbers(f"{place}, labels of {name}", content[LABELS][name], 1) for name in listed]
    emotions = torch.cat(labels)
    if not bool(((emotions >= 0) & (emotions < len(CLASSES)) & (emotions == emotions.round())).all()):
        raise DataError(f"{place}, labels", f"must be 0 to {len(CLASSES) - 1}", "another number", _REMEDY)
    inputs = {m: _vectors(f"{place}, {m}", content[at], listed, labels) for m, at in MODALITIES.items()}
    return Dialogues(inputs, emotions.long(), torch.tensor([len(own) for own in labels]))


def _vectors(place: str, features: Mapping[str, Any], names: list[str], labels: list[Tensor]) -> Tensor:
    """Stack the vectors of all dialogues, [n, features]."""
    found = [_numbers(f"{place} of {name}", features[name], 2) for name in names]
    for name, own, its in zip(names, found, labels, strict=True):
        if len(own) != len(its) or own.shape[1] != found[0].shape[1]:
            rule = f"must have shape [{len(its)}, {found[0].shape[1]}]"
            raise DataError(f"{place} of {name}", rule, list(own.shape), _REMEDY)
    return torch.cat(found)


def _numbers(place: str, values: Any, axes: int) -> Tensor:
    try:
        array = float32(values)
    except (TypeError, ValueError) as error:
        raise DataError(place, "must be numbers of one shape", error, _REMEDY) from error
    if array.ndim != axes or array.size == 0 or not np.isfinite(array).all():
        found = f"shape {list(array.shape)}"
        raise DataError(place, f"must be finite numbers in {axes} axes, not empty", found, _REMEDY)
    return torch.from_numpy(array)
