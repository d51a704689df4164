import base64
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.data import Archive, default_cache_dir, fetch, npm_pack, pip_download, sha256
from bogc.data.archives import read_tar, read_zip
from bogc.errors import ConfigError, DataError, FetchError

from .archives import make_tar, make_zip

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


NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
TARBALL = Archive("tiny", "1.0.0", "tiny-1.0.0.tgz", "0" * 64)
HOOK = {"preinstall": "touch ran", "prepack": "touch ran", "prepare": "touch ran"}


@pytest.fixture
def tarball(tmp_path) -> Path:
    manifest = {"name": "tiny", "version": "1.0.0", "scripts": HOOK, "dependencies": {"not-there": "1"}}
    return make_tar(tmp_path / TARBALL.filename, {"package/package.json": json.dumps(manifest).encode()})


@pytest.fixture
def registry(tarball, tmp_path, monkeypatch) -> Iterator[str]:
    """A registry of the one package on this machine, and an npm that knows no other."""
    content = tarball.read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self):
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            dist = {"tarball": f"{host}/tiny/-/{TARBALL.filename}", "integrity": integrity}
            version = {"name": "tiny", "version": "1.0.0", "dist": dist, "scripts": HOOK}
            known = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
            body = content if self.path.endswith(".tgz") else json.dumps(known).encode()
            self.send_response(200 if self.path.startswith("/tiny") else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    for name in [name for name in os.environ if name.lower().startswith("npm_config_")]:
        monkeypatch.delenv(name)
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        settings = {"registry": address, "cache": str(tmp_path / "npm"), "fetch_retries": "0"}
        for name, value in settings.items():
            monkeypatch.setenv(f"npm_config_{name}", value)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield address
        server.shutdown()
        thread.join()


@NEEDS_NPM
@pytest.mark.usefixtures("registry")
def test_gets_the_tarball_as_published_and_runs_nothing(tarball, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    archive = Archive("tiny", "1.0.0", TARBALL.filename, sha256(tarball))
    path = fetch(archive, tmp_path / "cache", npm_pack)
    assert path.read_bytes() == tarball.read_bytes()
    assert list((tmp_path / "cache").iterdir()) == [path]
    assert list((tmp_path / "here").iterdir()) == []


@NEEDS_NPM
@pytest.mark.usefixtures("registry")
def test_another_file_than_the_pinned_one_is_not_kept(tmp_path):
    with pytest.raises(FetchError, match=r"tiny-1\.0\.0\.tgz must have SHA-256 0000"):
        fetch(TARBALL, tmp_path / "cache", npm_pack)
    assert list((tmp_path / "cache").iterdir()) == []


@NEEDS_NPM
@pytest.mark.usefixtures("registry")
def test_shows_why_npm_failed(tmp_path):
    unknown = Archive("unknown", "2.0.0", "unknown-2.0.0.tgz", "0" * 64)
    match = r"(?s)unknown@2\.0\.0 must be downloadable; found .*exit status 1:.*404.*BOGC_CACHE"
    with pytest.raises(FetchError, match=match):
        fetch(unknown, tmp_path / "cache", npm_pack)


def test_without_npm(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    match = r"npm must be installed to fetch tiny@1\.0\.0; .* Install npm .*, or put tiny-1\.0\.0\.tgz into"
    with pytest.raises(FetchError, match=match):
        npm_pack(TARBALL, tmp_path)


CONTENTS = {"package/a": b"first", "package/b": b"", "package/c": np.random.RandomState(0).bytes(20_000)}
BOTH = pytest.mark.parametrize(("make", "read"), [(make_tar, read_tar), (make_zip, read_zip)])


@BOTH
@given(
    contents=st.dictionaries(st.text("abc/", min_size=1).map("p/{}x".format), st.binary(), max_size=5),
    data=st.data(),
)
def test_gives_what_was_packed_and_nothing_else(make, read, contents, data, tmp_path_factory):
    names = data.draw(st.sets(st.sampled_from(sorted(contents)))) if contents else set()
    path = make(tmp_path_factory.getbasetemp() / "members", contents)
    assert read(path, names) == {name: contents[name] for name in names}


@BOTH
def test_a_missing_member(make, read, tmp_path):
    path = make(tmp_path / "archive", CONTENTS)
    with pytest.raises(DataError, match=r"archive must hold the files \['package/d'\]; found none"):
        read(path, ["package/a", "package/d"])


@BOTH
@pytest.mark.parametrize("kept", [0, 1, 20, 0.5, 0.9])
def test_a_truncated_archive(make, read, kept, tmp_path):
    path = make(tmp_path / "archive", CONTENTS)
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(DataError, match="archive must be a complete archive"):
        read(path, CONTENTS)


@BOTH
def test_a_corrupt_archive(make, read, tmp_path):
    path = make(tmp_path / "archive", CONTENTS)
    content = bytearray(path.read_bytes())
    content[1000:3000] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(DataError, match="archive must be a complete archive"):
        read(path, CONTENTS)


@BOTH
def test_no_archive_at_all(make, read, tmp_path):
    with pytest.raises(DataError, match=r"must be a complete archive; found .*No such file"):
        read(tmp_path / "absent", ["package/a"])


def test_paths_in_an_archive_lead_nowhere(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        for name, link in [("package/link", "../secret"), ("package/hard", "../secret")]:
            member = tarfile.TarInfo(name)
            member.type = tarfile.SYMTYPE if name.endswith("link") else tarfile.LNKTYPE
            member.linkname = link
            archive.addfile(member)
        member = tarfile.TarInfo("../escaped")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"out"))
    assert read_tar(tmp_path / "archive", ["../escaped"]) == {"../escaped": b"out"}
    assert not (tmp_path.parent / "escaped").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "secret"]
    with pytest.raises(DataError, match=r"must hold the files \['package/hard', 'package/link'\]"):
        read_tar(tmp_path / "archive", ["package/link", "package/hard"])


def test_of_two_members_with_one_name_the_first_counts(tmp_path):
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        for content in (b"one", b"two"):
            member = tarfile.TarInfo("package/a")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert read_tar(tmp_path / "archive", ["package/a"]) == {"package/a": b"one"}
