from pathlib import Path

import pytest

from bogc.data.folders.location import existing, folder_named_by
from bogc.errors import ConfigError, DataError


def test_a_variable_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BOGC_MADE", str(tmp_path))
    assert folder_named_by("BOGC_MADE") == tmp_path


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BOGC_MADE", "~")
    assert folder_named_by("BOGC_MADE") == tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_an_error_with_the_command(value, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BOGC_MADE", raising=False)
    if value is not None:
        monkeypatch.setenv("BOGC_MADE", value)
    with pytest.raises(ConfigError, match=r"BOGC_MADE must name the folder of the data.*export BOGC_MADE="):
        folder_named_by("BOGC_MADE")


def test_a_file_is_not_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BOGC_MADE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"BOGC_MADE must name a folder; found '.*file'"):
        folder_named_by("BOGC_MADE")


def test_existing_gives_the_path_or_the_remedy(tmp_path: Path):
    assert existing(tmp_path, "Make it.") == tmp_path
    with pytest.raises(DataError, match=r"absent must exist.*Make it"):
        existing(tmp_path / "absent", "Make it.")
