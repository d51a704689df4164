"""Small archives in the layout of the published ones."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_tar(path: Path, contents: Mapping[str, bytes]) -> Path:
    """Write a gzipped tar archive of regular files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_zip(path: Path, contents: Mapping[str, bytes]) -> Path:
    """Write a zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path
