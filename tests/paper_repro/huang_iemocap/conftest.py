"""A folder of made dialogues."""

from pathlib import Path

import pytest

from tests.paper_repro.readers.dialogues import dialogues, write_dialogues


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_dialogues(tmp_path / "dialogues", dialogues(train=12, test=6))
    monkeypatch.setenv("BOGC_IEMOCAP_DIALOGUES", str(tmp_path / "dialogues"))
    return tmp_path / "dialogues"
