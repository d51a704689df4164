"""A folder of made digits in the layout of AV-MNIST."""

from pathlib import Path

import pytest

from tests.paper_repro.readers.digits import av_mnist, write_av_mnist


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_av_mnist(tmp_path / "av-mnist", av_mnist({"train": 18, "test": 6}))
    monkeypatch.setenv("BOGC_AV_MNIST", str(folder))
    return folder
