import hashlib
import importlib.util
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bogc.data import Archive, default_cache_dir, fetch, pip_download, sha256
from bogc.errors import ConfigError, FetchError

CONTENT = b"the pinned bytes"
ARCHIVE = Archive("tiny", "1.0", "tiny-1.0-py3-none-any.whl", hashlib.sha256(CONTENT).hexdigest())


class Downloader:
    """Writes ``content`` under ``filename``, or raises ``error``; counts its calls."""

    def __init__(self, content=CONTENT, filename=ARCHIVE.filename, error=None):
        self.content, self.filename, self.error, self.calls = content, filename, error, 0

    def __call__(self, archive: Archive, folder: Path) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        (folder / self.filename).write_bytes(self.content)


class TestFetch:
    def test_downloads_once(self, tmp_path):
        download = Downloader()
        first = fetch(ARCHIVE, tmp_path / "new" / "cache", download)
        assert fetch(ARCHIVE, tmp_path / "new" / "cache", download) == first
        assert (first.read_bytes(), download.calls) == (CONTENT, 1)
        assert list(first.parent.iterdir()) == [first]

    def test_default_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("BOGC_CACHE", str(tmp_path))
        assert fetch(ARCHIVE, download=Downloader()) == tmp_path / ARCHIVE.filename

    @pytest.mark.parametrize(
        ("download", "match"),
        [
            (Downloader(content=CONTENT[:-1]), f"must have SHA-256 {ARCHIVE.sha256}; found .* Fetch again"),
            (Downloader(filename="other.whl"), r"download must give tiny-1.0-.*; found \['other.whl'\]"),
            (
                Downloader(error=FetchError("tiny", "must be downloadable", "no net", "Go.")),
                r"found no net\. Go\.",
            ),
            (
                Downloader(error=OSError(28, "No space left on device")),
                "must be writable.*No space left.*BOGC_CACHE",
            ),
        ],
    )
    def test_a_failure_leaves_the_cache_untouched(self, tmp_path, download, match):
        (tmp_path / "kept").write_bytes(b"kept")
        with pytest.raises(FetchError, match=match):
            fetch(ARCHIVE, tmp_path, download)
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]

    @pytest.mark.parametrize("content", [CONTENT[:5], b"", b"other" * 10])
    def test_a_corrupt_cached_file_is_reported_and_left(self, tmp_path, content):
        cached, download = tmp_path / ARCHIVE.filename, Downloader()
        cached.write_bytes(content)
        with pytest.raises(
            FetchError, match=f"(?s){cached} must have SHA-256.*Delete {cached}, and bogc fetches it"
        ):
            fetch(ARCHIVE, tmp_path, download)
        assert (cached.read_bytes(), download.calls) == (content, 0)

    def test_deleting_it_as_told_repairs_the_cache(self, tmp_path):
        (tmp_path / ARCHIVE.filename).write_bytes(b"corrupt")
        (tmp_path / ARCHIVE.filename).unlink()
        assert fetch(ARCHIVE, tmp_path, Downloader()).read_bytes() == CONTENT

    def test_a_folder_in_the_way(self, tmp_path):
        (tmp_path / ARCHIVE.filename).mkdir()
        with pytest.raises(FetchError, match=r"must be a readable file; found .*directory"):
            fetch(ARCHIVE, tmp_path, Downloader())

    def test_a_cache_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(FetchError, match=r"must be writable; found .* Set BOGC_CACHE"):
            fetch(ARCHIVE, tmp_path / "file", Downloader())


class TestCacheDir:
    def test_in_order_of_precedence(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("BOGC_CACHE", "~/chosen")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert default_cache_dir() == tmp_path / "chosen"
        monkeypatch.setenv("BOGC_CACHE", "")
        assert default_cache_dir() == tmp_path / "xdg" / "bogc"
        monkeypatch.delenv("XDG_CACHE_HOME")
        assert default_cache_dir() == tmp_path / ".cache" / "bogc"


class TestArchive:
    @pytest.mark.parametrize("filename", ["../evil.whl", "folder/file.whl", "a\\b.whl", "..", ""])
    def test_the_file_name_must_be_plain(self, filename):
        with pytest.raises(ConfigError, match="filename must be a plain file name"):
            replace(ARCHIVE, filename=filename)

    @pytest.mark.parametrize("digest", ["", "abc", "G" * 64, ARCHIVE.sha256.upper()])
    def test_the_hash_must_be_one(self, digest):
        with pytest.raises(ConfigError, match="sha256 must be 64 lower-case hexadecimal digits"):
            replace(ARCHIVE, sha256=digest)


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def run_offline(monkeypatch, find_links: Path) -> None:
    """Let pip see nothing but the files in one folder."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(find_links))


class TestPipDownload:
    def test_gets_the_wheel_without_its_dependencies(self, tmp_path, monkeypatch):
        shelf, cache = tmp_path / "shelf", tmp_path / "cache"
        shelf.mkdir()
        wheel = shelf / ARCHIVE.filename
        with zipfile.ZipFile(wheel, "w") as file:
            metadata = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\nRequires-Dist: not-there\n"
            file.writestr("tiny-1.0.dist-info/METADATA", metadata)
            file.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            file.writestr("tiny-1.0.dist-info/RECORD", "")
        run_offline(monkeypatch, shelf)
        archive = replace(ARCHIVE, sha256=sha256(wheel))
        assert fetch(archive, cache).read_bytes() == wheel.read_bytes()

    def test_shows_why_pip_failed(self, tmp_path, monkeypatch):
        run_offline(monkeypatch, tmp_path)
        match = r"(?s)tiny==1.0 must be downloadable; found .*status 1:.*No matching distribution.*BOGC_CACHE"
        with pytest.raises(FetchError, match=match):
            fetch(ARCHIVE, tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_without_pip(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(FetchError, match=r"pip must be installed to fetch tiny==1\.0; .* ensurepip"):
            pip_download(ARCHIVE, tmp_path)

    def test_timeout(self, tmp_path, monkeypatch):
        def never(command, *, timeout, **options):
            raise subprocess.TimeoutExpired(command, timeout)

        monkeypatch.setattr(subprocess, "run", never)
        with pytest.raises(FetchError, match=r"tiny==1\.0 must be .* found no answer in 600 s"):
            pip_download(ARCHIVE, tmp_path)
