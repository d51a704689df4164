import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.data import MultimodalDataset, load_watch, make_split
from bogc.data.archives import fetch
from bogc.data.watch import ARCHIVE, read_recordings, sliding_windows
from bogc.errors import FetchError


@pytest.fixture(scope="module")
def watch() -> MultimodalDataset:
    return load_watch()


def test_windows_and_modalities(watch):
    assert len(watch) == 2229
    assert {name: tuple(value.shape[1:]) for name, value in watch.inputs.items()} == {
        "accelerometer": (3, 200),
        "gyroscope": (3, 200),
    }
    assert all(value.dtype == torch.float32 for value in watch.inputs.values())


def test_classes_and_subjects(watch):
    assert watch.class_names == ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
    assert torch.bincount(watch.targets).tolist() == [234, 369, 376, 343, 346, 274, 287]
    assert torch.bincount(watch.groups).tolist() == [0, 270, 259, 143, 136, 235, 228, 251, 229, 230, 248]


def test_windows_are_those_of_the_recordings(watch):
    recordings = read_recordings(fetch(ARCHIVE))
    first, counts = recordings["X"][0], [(len(series) - 200) // 100 + 1 for series in recordings["X"]]
    np.testing.assert_array_equal(watch.inputs["accelerometer"][1], first[100:300, :3].T.astype(np.float32))
    np.testing.assert_array_equal(watch.inputs["gyroscope"][2], first[200:400, 3:].T.astype(np.float32))
    last = recordings["X"][-1][(counts[-1] - 1) * 100 :][:200]
    np.testing.assert_array_equal(watch.inputs["gyroscope"][-1], last[:, 3:].T.astype(np.float32))
    assert int(watch.targets[-1]) == recordings["y"][-1]
    assert int(watch.groups[-1]) == recordings["subject"][-1]


@pytest.mark.parametrize("fold", range(5))
def test_split_by_subject(watch, fold):
    split = make_split(watch, folds=5, fold=fold, seed=0)
    parts = [set(watch.groups[part].tolist()) for part in (split.train, split.validation, split.test)]
    assert [len(part) for part in parts] == [6, 2, 2]
    assert set().union(*parts) == set(range(1, 11))
    assert len(watch.targets[split.train].unique()) == 7


@settings(deadline=None)
@given(st.integers(5, 40), st.integers(1, 5), st.integers(1, 7))
def test_sliding_windows_are_slices(steps, window, stride):
    series = np.arange(steps * 2.0).reshape(steps, 2)
    windows = sliding_windows(series, window, stride)
    starts = range(0, steps - window + 1, stride)
    np.testing.assert_array_equal(windows, np.stack([series[start : start + window].T for start in starts]))


def test_seglearn_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "seglearn", None)  # importing it would raise
    load_watch()


class Trap:
    """Unpickling it fails the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled a file that is not the pinned one",)


def test_another_file_is_never_unpickled(tmp_path):
    path = tmp_path / ARCHIVE.filename
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("seglearn/data/watch_dataset.npy", pickle.dumps(Trap()))
    with pytest.raises(FetchError, match=r"watch_dataset\.npy must have SHA-256 eb122f23.*Delete .*\.whl"):
        read_recordings(path)


def test_another_archive_is_not_read(tmp_path):
    (tmp_path / ARCHIVE.filename).write_bytes(b"something else")
    with pytest.raises(FetchError, match=r"seglearn.*must have SHA-256 ec6b952c.*Delete"):
        load_watch(tmp_path)
