import io
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bogc.data.members import read_tar, read_zip
from bogc.errors import DataError

from .archives import make_tar, make_zip

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
