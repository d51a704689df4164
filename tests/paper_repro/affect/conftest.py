"""Folders of made features in the layouts of CMU-MOSI and IEMOCAP."""

from pathlib import Path

import pytest

from tests.paper_repro.readers.features import iemocap, write_iemocap
from tests.paper_repro.readers.opinions import opinions, write_pickle


@pytest.fixture
def mosi_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mosi"
    write_pickle(folder / "mosi_data.pkl", opinions({"train": 10, "valid": 6, "test": 6}))
    monkeypatch.setenv("BOGC_CMU_MOSI", str(folder))
    return folder


@pytest.fixture
def iemocap_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_iemocap(tmp_path / "iemocap", iemocap())
    monkeypatch.setenv("BOGC_IEMOCAP", str(folder))
    return folder
