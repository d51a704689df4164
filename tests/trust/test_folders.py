"""Run folders: one run at a time, nothing left half-written, nothing lost when the disk gives out."""

import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import time
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import torch

from bogc.data import Archive, fetch
from bogc.errors import ConfigError, LockedError, StorageError
from bogc.training.compare import Comparison
from bogc.training.storage import alone_in, load_checkpoint, read_json, read_records, save_checkpoint
from tests.processes import CONTEXT

from .runs import CONFIG, asked_after, fitted, last_weights, stopped


@pytest.fixture(autouse=True)
def float32():
    torch.set_default_dtype(torch.float32)


def hold(folder: Path, held: Event) -> None:
    with alone_in(folder):
        held.set()
        time.sleep(600)


def test_a_second_run_on_a_folder_is_refused_until_the_first_is_dead(tmp_path: Path):
    held = CONTEXT.Event()
    process = CONTEXT.Process(target=hold, args=(tmp_path, held), daemon=True)
    process.start()
    assert held.wait(120)
    with pytest.raises(
        LockedError, match=f"{tmp_path} must be used by one run at a time; found another. Wait"
    ):
        fitted(CONFIG, tmp_path)
    assert not (tmp_path / "config.json").exists()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / ".lock").exists()
    fitted(CONFIG, tmp_path)


def test_the_second_run_may_be_of_this_process(tmp_path: Path):
    with alone_in(tmp_path), pytest.raises(LockedError, match="must be used by one run at a time"):
        fitted(CONFIG, tmp_path)
    fitted(CONFIG, tmp_path)


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path: Path):
    left = [tmp_path / f".checkpoint.pt.{'a' * 32}", tmp_path / "pictures" / f".weights.png.{'0' * 32}"]
    kept = [tmp_path / ".hidden", tmp_path / f"notes.{'a' * 32}", tmp_path / ".checkpoint.pt.abc"]
    (tmp_path / "pictures").mkdir()
    for path in [*left, *kept]:
        path.write_bytes(b"x")
    fitted(CONFIG, tmp_path)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_a_full_disk_is_one_line_and_leaves_what_was_saved(tmp_path: Path):
    """Files may not grow beyond a limit: real writes fail, in the middle of the checkpoint."""
    stopped(CONFIG, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[tmp_path / "checkpoint.pt"]) // 2, hard))
    try:
        with pytest.raises(StorageError, match=r"must be writable; found File too large\. Free or") as raised:
            fitted(CONFIG, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(raised.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before[tmp_path / "checkpoint.pt"]
    assert not list(tmp_path.glob(".*.*"))
    fitted(CONFIG, tmp_path)


def test_a_folder_that_is_taken_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # its thread would look for its file
    folder = tmp_path / "run"
    shown = asked_after(2)

    def asked() -> str:
        if shown():
            folder.rename(tmp_path / "elsewhere")
            return "SIGTERM"
        return ""

    with pytest.raises(StorageError, match=f"{folder} must stay while a run writes to it; found nothing"):
        fitted(CONFIG, folder, asked=asked)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["file/run", "n" * 300, "/sys/run"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, name: str):
    """Nobody may write to /sys, root neither."""
    (tmp_path / "file").write_bytes(b"")
    reasons = "Not a directory|File name too long|Operation not permitted|Permission denied|Read-only file"
    with pytest.raises(StorageError, match=f"must be writable; found ({reasons})"):
        fitted(CONFIG, tmp_path / name)


def test_a_disk_that_turns_read_only_leaves_what_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stopped(CONFIG, tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def refuse(*paths: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.raises(StorageError, match=r"must be writable; found Read-only file system\. Free or"):
            fitted(CONFIG, tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    fitted(CONFIG, tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff", b"null", b"[" * 100_000])
def test_damaged_json_is_typed(tmp_path: Path, text: bytes):
    (tmp_path / "fit.json").write_bytes(text)
    with pytest.raises(StorageError, match=r"fit.json must be a complete JSON object; .* to start again"):
        read_json(tmp_path / "fit.json")


@pytest.mark.parametrize(
    "line", [b"{", b"7", b"{}", b'{"kind": 1, "step": 2}', b'{"kind": "x"}', b"\xff", b"[" * 9999]
)
def test_a_damaged_record_is_typed(tmp_path: Path, line: bytes):
    (tmp_path / "records.jsonl").write_bytes(b'{"kind": "step", "step": 1}\n' + line + b"\n")
    with pytest.raises(
        StorageError, match=r"records.jsonl, line 2 must be a record; found .* to start again"
    ):
        read_records(tmp_path / "records.jsonl")


MORE = replace(CONFIG, extend=2)


def test_a_finished_run_is_extended_beside_itself_and_says_so(tmp_path: Path):
    base, more = tmp_path / CONFIG.run_name, tmp_path / MORE.run_name
    fitted(CONFIG, base)
    before = (base / "checkpoint.pt").read_bytes()
    found = fitted(MORE, more)
    assert (base / "checkpoint.pt").read_bytes() == before
    assert (found["epochs"], found["steps"]) == (4, 12)
    assert found["config"]["extend"] == 2
    first, *later = read_records(more / "records.jsonl")
    assert first == {"kind": "extended", "step": 6, "epoch": 2, "run": CONFIG.run_name}
    assert [record["epoch"] for record in later if record["kind"] == "epoch"] == [2, 3]
    rate = load_checkpoint(more / "checkpoint.pt", MORE.digest)["optimiser"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(0.0, abs=1e-12)
    assert any(not torch.equal(w, last_weights(base)[n]) for n, w in last_weights(more).items())
    shutil.copytree(base, tmp_path / "other" / CONFIG.run_name)
    stopped(MORE, tmp_path / "other" / MORE.run_name)
    fitted(MORE, tmp_path / "other" / MORE.run_name)
    again = last_weights(tmp_path / "other" / MORE.run_name)
    assert all(torch.equal(w, again[n]) for n, w in last_weights(more).items())


def test_only_a_finished_run_is_extended(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"extend must follow a finished run of 2 epochs; found none in"):
        fitted(MORE, tmp_path / MORE.run_name)
    stopped(CONFIG, tmp_path / CONFIG.run_name, steps=4)
    with pytest.raises(ConfigError, match=r"extend must follow a finished run of 2 epochs; found none in"):
        fitted(MORE, tmp_path / MORE.run_name)
    with pytest.raises(ConfigError, match="extend must be 0 with patience"):
        replace(MORE, patience=1)
    with pytest.raises(ConfigError, match="extend must be 0 in a comparison"):
        Comparison(MORE, ("sum",), (0,), (0,), 1)


def test_a_run_that_is_not_extended_keeps_its_name():
    assert json.loads(json.dumps(CONFIG.to_mapping()))["extend"] == 0
    assert replace(MORE, extend=0).run_name == CONFIG.run_name != MORE.run_name


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    save_checkpoint(tmp_path / "c.pt", {"digest": "a"})
    monkeypatch.setattr(
        os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(StorageError, match=r"c.pt must be writable; found No space left on device\. Free"):
        save_checkpoint(tmp_path / "c.pt", {"digest": "b"})
    assert load_checkpoint(tmp_path / "c.pt", "a")


def test_what_a_killed_download_left_is_swept_when_it_is_old(tmp_path: Path):
    content = b"an archive"
    archive = Archive("package", "1.0", "a.whl", hashlib.sha256(content).hexdigest())
    for name in (".fetch-old", ".fetch-new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.whl").write_bytes(b"half")
    os.utime(tmp_path / ".fetch-old", (0, 0))
    fetch(archive, tmp_path, lambda archive, folder: Path(folder, archive.filename).write_bytes(content))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fetch-new", "a.whl"]
