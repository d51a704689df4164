"""A folder of made patients in the layout of CGGM's code."""

from pathlib import Path

import pytest

from tests.paper_repro.readers.volumes import write_brats


@pytest.fixture
def patients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_brats(tmp_path / "brats", {"train": 4, "valid": 2, "test": 2})
    monkeypatch.setenv("BOGC_BRATS", str(folder))
    return folder
