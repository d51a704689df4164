"""Tiny dialogues in the layout of IEMOCAP_features_raw.pkl."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

WIDTHS = {"text": 4, "audio": 3, "vision": 5}


def dialogues(train: int = 8, test: int = 3) -> list[Any]:
    """Draw dialogues of 6 to 9 utterances, whose labels go round all six."""
    random = np.random.RandomState(0)
    names = [f"Ses{1 + i % 5:02d}F_impro{i:02d}" for i in range(train + test)]
    lengths = {name: 6 + i % 4 for i, name in enumerate(names)}
    labels = {name: [i % 6 for i in range(length)] for name, length in lengths.items()}
    features = [
        {name: list(random.standard_normal((lengths[name], width))) for name in names}
        for width in WIDTHS.values()
    ]
    utterances = {name: [f"{name}_F{i:03d}" for i in range(n)] for name, n in lengths.items()}
    speakers = {name: ["F"] * n for name, n in lengths.items()}
    sentences = {name: ["Ça va?"] * n for name, n in lengths.items()}
    return [utterances, speakers, labels, *features, sentences, set(names[:train]), set(names[train:])]


def write_dialogues(folder: Path, content: object, protocol: int = 2) -> Path:
    """Pickle them as Python 2 could."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "IEMOCAP_features_raw.pkl").write_bytes(pickle.dumps(content, protocol))
    return folder / "IEMOCAP_features_raw.pkl"
