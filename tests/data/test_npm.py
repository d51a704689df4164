import base64
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bogc.data import Archive, fetch, npm_pack, sha256
from bogc.errors import FetchError

from .archives import make_tar

NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
ARCHIVE = Archive("tiny", "1.0.0", "tiny-1.0.0.tgz", "0" * 64)
HOOK = {"preinstall": "touch ran", "prepack": "touch ran", "prepare": "touch ran"}


@pytest.fixture
def tarball(tmp_path) -> Path:
    manifest = {"name": "tiny", "version": "1.0.0", "scripts": HOOK, "dependencies": {"not-there": "1"}}
    return make_tar(tmp_path / ARCHIVE.filename, {"package/package.json": json.dumps(manifest).encode()})


@pytest.fixture
def registry(tarball, tmp_path, monkeypatch) -> Iterator[str]:
    """A registry of the one package on this machine, and an npm that knows no other."""
    content = tarball.read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self):
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            dist = {"tarball": f"{host}/tiny/-/{ARCHIVE.filename}", "integrity": integrity}
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
    archive = Archive("tiny", "1.0.0", ARCHIVE.filename, sha256(tarball))
    path = fetch(archive, tmp_path / "cache", npm_pack)
    assert path.read_bytes() == tarball.read_bytes()
    assert list((tmp_path / "cache").iterdir()) == [path]
    assert list((tmp_path / "here").iterdir()) == []


@NEEDS_NPM
@pytest.mark.usefixtures("registry")
def test_another_file_than_the_pinned_one_is_not_kept(tmp_path):
    with pytest.raises(FetchError, match=r"tiny-1\.0\.0\.tgz must have SHA-256 0000"):
        fetch(ARCHIVE, tmp_path / "cache", npm_pack)
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
        npm_pack(ARCHIVE, tmp_path)
