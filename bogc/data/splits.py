"""Splits into training, validation and test samples, by folds that keep groups whole."""

import hashlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bogc.checks import check_alike, check_number, check_values
from bogc.data.dataset import MultimodalDataset, check_indices
from bogc.errors import DataError, ShapeError

_Integers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of sample indices, on one device.

    Attributes:
        train: Indices to fit on, int64, [train].
        validation: Indices to choose settings by, int64, [validation].
        test: Indices to report on, int64, [test].

    Raises:
        DataError: A part is empty, or an index is there more than once.
        RangeError: An index is negative.
        DtypeError: A part is not int64.
        DeviceError: The parts are on different devices.
    """

    train: Tensor
    validation: Tensor
    test: Tensor

    def __post_init__(self) -> None:
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for name, part in parts.items():
            check_indices(name, part)
        check_alike("train, validation and test", *parts.values())
        for name, part in parts.items():
            check_values(name, "must be zero or more", part, part >= 0, "Count from zero.")
        ordered = torch.cat(list(parts.values())).sort().values
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if len(repeated) > 0:
            twice = int(repeated[0])
            owners = " and ".join(name for name, part in parts.items() if bool((part == twice).any()))
            rule = "must hold each index at most once"
            raise DataError("split", rule, f"index {twice} repeated in {owners}", "Make the parts disjoint.")


def group_folds(groups: Tensor, targets: Tensor, folds: int, fold: int, seed: int) -> Split:
    """Split so that no group is in two parts.

    Groups are shuffled, ordered by their commonest class and dealt to the folds in turn: folds differ by at
    most one group, and groups of one class are spread over them. Fold ``fold`` becomes the test part, the
    next one (after the last, the first) the validation part, the rest the training part.

    Args:
        groups: Group of each sample, int64, [n].
        targets: Class of each sample, int64, [n].
        folds: Number of folds, at least 3.
        fold: Which of them is the test part, in [0, folds).
        seed: Of the shuffle, in [0, 2**32).

    Raises:
        DataError: There are fewer groups than folds.
        RangeError: ``folds``, ``fold`` or ``seed`` is out of range.
        ShapeError: ``groups`` and ``targets`` differ in length.
    """
    _check_settings(folds, fold, seed)
    check_indices("groups", groups)
    check_indices("targets", targets)
    if len(groups) != len(targets):
        rule = f"must have {len(targets)} rows, one a target"
        raise ShapeError("groups", rule, len(groups), "Give every sample a group.")
    names, member = np.unique(groups.cpu().numpy(), return_inverse=True)
    if len(names) < folds:
        raise DataError("groups", f"must be at least {folds}, one a fold", len(names), "Use fewer folds.")
    dealt = _deal(_commonest_class(member, targets.cpu().numpy()), folds, seed)
    return _parts(dealt[member], folds, fold, groups.device)


def stratified_folds(targets: Tensor, folds: int, fold: int, seed: int) -> Split:
    """Split so that each class is spread evenly over the folds; parts are made as by :func:`group_folds`.

    Args:
        targets: Class of each sample, int64, [n].
        folds: Number of folds, at least 3.
        fold: Which of them is the test part, in [0, folds).
        seed: Of the shuffle, in [0, 2**32).

    Raises:
        DataError: A class has fewer samples than there are folds.
        RangeError: ``folds``, ``fold`` or ``seed`` is out of range.
    """
    _check_settings(folds, fold, seed)
    check_indices("targets", targets)
    labels = targets.cpu().numpy()
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < folds:
        rule = f"must have at least {folds} samples of each class, one a fold"
        found = f"{counts.min()} of class {classes[counts.argmin()]}"
        raise DataError("targets", rule, found, "Use fewer folds, or merge the class into another.")
    assignment = np.empty(len(labels), dtype=np.int64)
    from sklearn.model_selection import StratifiedKFold  # slow to import

    folder = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for number, (_, members) in enumerate(folder.split(labels, labels)):
        assignment[members] = number
    return _parts(assignment, folds, fold, targets.device)


def make_split(dataset: MultimodalDataset, folds: int = 5, fold: int = 0, seed: int = 0) -> Split:
    """Split by group if the data set has groups, else by class; indices are on the device of the data.

    Raises:
        BogcError: See :func:`group_folds` and :func:`stratified_folds`.
    """
    if dataset.groups is None:
        return stratified_folds(dataset.targets, folds, fold, seed)
    return group_folds(dataset.groups, dataset.targets, folds, fold, seed)


def fingerprint(dataset: MultimodalDataset, split: Split) -> str:
    """SHA-256 of all that a run sees of the data: samples, classes, and which samples are in which part."""
    tensors = {f"input {name}": value for name, value in dataset.inputs.items()} | {
        "targets": dataset.targets
    }
    tensors |= {"train": split.train, "validation": split.validation, "test": split.test}
    digest = hashlib.sha256(repr(dataset.class_names).encode())
    for name, value in tensors.items():
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_settings(folds: int, fold: int, seed: int) -> None:
    check_number("folds", folds, folds >= 3, "must be at least 3", "Each part needs a fold.")
    check_number("fold", fold, 0 <= fold < folds, f"must lie in [0, {folds})", "Count folds from zero.")
    check_number("seed", seed, 0 <= seed < 2**32, "must lie in [0, 2**32)", "Choose another seed.")


def _commonest_class(member: _Integers, targets: _Integers) -> _Integers:
    """Give the commonest class of each group, [G], from each sample's group number and class, both [n]."""
    classes, labels = np.unique(targets, return_inverse=True)
    counts = np.zeros((member.max() + 1, len(classes)), dtype=np.int64)
    np.add.at(counts, (member, labels), 1)
    commonest: _Integers = counts.argmax(axis=1)
    return commonest


def _deal(strata: _Integers, folds: int, seed: int) -> _Integers:
    """Give each of G members a fold, [G], so that folds differ by at most one member in size."""
    # RandomState, because its stream never changes: a seed names the same split under every numpy.
    shuffled = np.random.RandomState(seed).permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    dealt = np.empty(len(strata), dtype=np.int64)
    dealt[order] = np.arange(len(strata)) % folds
    return dealt


def _parts(assignment: _Integers, folds: int, fold: int, device: torch.device) -> Split:
    """Turn each sample's fold, [n], into a split."""
    test, validation = assignment == fold, assignment == (fold + 1) % folds
    masks = (~(test | validation), validation, test)
    return Split(*(torch.from_numpy(np.flatnonzero(mask)).to(device) for mask in masks))
