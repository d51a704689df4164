"""Readers of data that others made: damaged, hostile, or of another kind."""

import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bogc.errors import BogcError, DataError
from paper_repro.readers import pickles
from paper_repro.readers.clips import read_picture
from paper_repro.readers.files import NUMBERS, read_array, read_stored
from paper_repro.readers.pickles import read_arrays

from .layouts import LAYOUTS

CASES = 40 * int(os.environ.get("BOGC_FUZZ", "1"))  # of each layout
HOSTILE = (
    b"", b"\0", b"\xff" * 8, b"../../etc/passwd", b"/etc/passwd", b"a" * 300, b"\xe9\r", b",", b"\n\n", b"&",
    b"[" * 5000, b"%!PS-Adobe-3.0 EPSF-3.0\n",
    b"PK\x03\x04", b"\x80\x04", b"\x7f\xff\xff\xff", b"-1", b"1e999", b'"',
)  # fmt: skip


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """One to three changes: bits, bytes, cuts, repetitions, and what has made trouble elsewhere."""
    for _ in range(random.integers(1, 4)):
        at, other = sorted(random.integers(0, len(content) + 1, 2).tolist())
        insert = HOSTILE[random.integers(len(HOSTILE))]
        match random.integers(7):
            case 0:
                flipped = content[at] ^ 1 << random.integers(8) if at < len(content) else 0
                content = content[:at] + bytes([flipped]) + content[at + 1 :]
            case 1:
                content = content[:at]
            case 2:
                content = content[:at] + content[other:]
            case 3:
                content = content[:other] + content[at:]
            case 4:
                content = content[:at] + insert + content[at + len(insert) :]
            case 5:
                content = content[:at] + insert + content[at:]
            case _:
                content = content[:at] + random.bytes(8) + content[at + 8 :]
    return content


def changes(folder: Path, random: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Change a file of ``folder`` at a time, and put it right again; headers and lists more often."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for _ in range(CASES):
        path = files[random.integers(len(files))]
        whole = path.read_bytes()
        head = int(random.choice([64, 400, len(whole)]))
        changed = mutated(whole[:head], random) + whole[head:]
        path.write_bytes(changed)
        yield str(path.relative_to(folder)), changed
        path.write_bytes(whole)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_damaged_folder_is_read_or_refused(tmp_path: Path, name: str):
    """BOGC_FUZZ=100 in the environment tries a hundred times as many."""
    layout, folder = LAYOUTS[name], tmp_path / "data"
    if name.endswith("h5"):
        pytest.importorskip("h5py")
    layout.write(folder)
    layout.read(folder)
    bare = []
    for place, content in changes(folder, np.random.default_rng(len(name))):
        try:
            layout.read(folder)
        except BogcError:
            continue
        except BaseException as error:
            bare.append((place, content[:80], repr(error)))
    assert not bare
    layout.read(folder)


LISTS = [(name, path) for name, layout in LAYOUTS.items() for path in layout.lists]


@pytest.mark.parametrize(("name", "path"), LISTS)
def test_a_list_that_is_not_utf_8_is_named_with_its_line(tmp_path: Path, name: str, path: str):
    layout = LAYOUTS[name]
    layout.write(tmp_path / "data")
    file = tmp_path / "data" / path
    file.write_bytes(file.read_bytes().rstrip(b"\n") + b"\n" + "Ärger".encode("latin-1"))
    last = file.read_bytes().count(b"\n") + 1
    with pytest.raises(DataError, match=rf"{file.name}, line {last} must be UTF-8; found the byte 0xc4"):
        layout.read(tmp_path / "data")


NAMES = {
    "crema-d": ("train.csv", b"1001_IEO_HAP_LO", b"1001_%s"),
    "ave": ("trainSet.txt", b"first", b"%s"),
    "kinetics-sounds": ("my_train.txt", b"first", b"%s"),
    "ucf101": ("trainlist01.txt", b"dog/first", b"dog/%s"),
    "vggsound": ("vggsound.csv", b"a,1", b"%s,1"),
    "food101-tokens": ("train.json", b"images/sushi/a.jpg", b"%s"),
    "food101-titles": ("texts/train_titles.csv", b"a.jpg", b"%s"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "way_out", [b"../../outside", b"/etc/passwd", b"x/../../../outside", b"..\\outside", b"a\0b"]
)
def test_a_list_does_not_lead_out_of_the_folder(tmp_path: Path, name: str, way_out: bytes):
    layout, (path, known, form) = LAYOUTS[name], NAMES[name]
    layout.write(tmp_path / "data")
    file = tmp_path / "data" / path
    escaped = way_out.replace(b"\\", b"\\\\").replace(b"\0", b"\\u0000") if path.endswith("json") else way_out
    file.write_bytes(file.read_bytes().replace(known, form % escaped))
    with pytest.raises(
        DataError, match=r"must (name a file below|read|hold values|exist|have the files|list|have the same)"
    ):
        layout.read(tmp_path / "data")


def test_pictures_of_other_formats_are_not_opened(tmp_path: Path):
    from PIL import Image

    (tmp_path / "frame.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(DataError, match=r"frame\.jpg must be a readable picture, JPEG or PNG"):
        read_picture(tmp_path / "frame.jpg")
    for form in ("GIF", "TIFF", "BMP", "PPM", "WEBP"):
        Image.new("RGB", (4, 4)).save(tmp_path / "frame.jpg", format=form)
        with pytest.raises(DataError, match=r"frame\.jpg must be a readable picture, JPEG or PNG"):
            read_picture(tmp_path / "frame.jpg")


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path):
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 8200, 8200, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    data = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + data)
    with pytest.raises(DataError, match="must be a readable picture, JPEG or PNG; found 8200 x 8200 pixels"):
        read_picture(tmp_path / "a.png")


def test_what_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", npy((10 << 20,), "<f8", bytes(80 << 20)))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"must unpack to 67108864 bytes or fewer; found 8388"):
        read_stored(tmp_path / "a.npz", ["x"])


def test_what_hdf5_stores_elsewhere_is_refused(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    (tmp_path / "secret").write_bytes(np.arange(8.0).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.arange(8.0)
    layout = h5py.VirtualLayout(shape=(8,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(8,))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "x")
        file["folder"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("raw", (8,), "f8", external=[(str(tmp_path / "secret"), 0, 64)])
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("large", (1 << 30,), "f8", chunks=(1 << 20,), compression="gzip")
        file["words"] = ["a", "b"]
        file["own"] = np.arange(8.0)
    assert read_stored(tmp_path / "a.h5", ["own"])["own"].tolist() == list(range(8))
    for name in ("link", "folder/x", "soft", "raw", "virtual"):
        with pytest.raises(DataError, match=rf"{name} must be stored in the file itself"):
            read_stored(tmp_path / "a.h5", [name])
    with pytest.raises(DataError, match="must unpack to 67108864 bytes or fewer"):
        read_stored(tmp_path / "a.h5", ["large"])
    with pytest.raises(DataError, match="words must be an array of numbers"):
        read_stored(tmp_path / "a.h5", ["words"])


def npy(shape: tuple[int, ...], descr: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
    return stream.getvalue() + content


@pytest.mark.parametrize(
    ("shape", "descr", "content"),
    [
        ((1 << 60,), "<f8", b""),
        ((-1,), "<f8", b""),
        ((2, -2), "<f8", bytes(32)),
        ((3,), "<f8", bytes(16)),
        ((2,), "<f8", bytes(24)),
        ((2,), "|O", bytes(16)),
        ((2,), "<c8", bytes(16)),
        ((2,), "<M8[s]", bytes(16)),
        ((2,), "|V8", bytes(16)),
        ((2,), "|S8", bytes(16)),
        ((2,), [("a", "<f8")], bytes(16)),
        ((2,), [("a", "|O")], bytes(16)),
        ((0, 1 << 62, 1 << 62), "<f8", b""),
    ],
)
def test_an_array_holds_numbers_and_as_many_bytes_as_it_says(tmp_path: Path, shape, descr, content: bytes):
    (tmp_path / "a.npy").write_bytes(npy(shape, descr, content))
    with pytest.raises(DataError, match=r"a\.npy must be numbers; found damage, or another dtype\. Again"):
        read_array(tmp_path / "a.npy", "must be numbers", "Again.", NUMBERS)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "x.npy")
    with pytest.raises(DataError, match=r"a\.npz.* must be (a file \.npz of arrays|an array of numbers)"):
        read_stored(tmp_path / "a.npz", ["x"])


DTYPE = b"cnumpy\ndtype\n(V%s\nI00\nI01\ntR"
STATE = b"(I3\nV%s\nNNNI-1\nI-1\nI%d\ntb"
EMPTY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR"
BUFFER = b"cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAA"


def made(size: int, code: bytes, order: bytes, content: bytes) -> bytes:
    """A pickle of an array with flags that say that it holds objects."""
    return EMPTY + b"(I1\n(I%d\nt" % size + DTYPE % code + STATE % (order, 63) + b"I00\n" + content + b"tb."


ATTACKS = {
    "objects from bytes": made(1, b"O8", b"|", b"C\x08AAAAAAAA"),
    "objects by flags": made(1, b"i8", b"<", b"(lI1\na"),
    "objects beyond a list": made(9, b"O8", b"|", b"(lI1\na"),
    "objects by a buffer": BUFFER + DTYPE % b"O8" + b"(I1\ntVC\ntR.",
    "objects by a scalar": b"cnumpy.core.multiarray\nscalar\n(" + DTYPE % b"O8" + b"C\x08AAAAAAAAtR.",
    "an object from memory": b"cnumpy.core.multiarray\nscalar\n(" + DTYPE % b"O8" + b"NtR.",
    "objects in an array": made(1, b"O8", b"|", b"(l(lI1\naa"),
    "letters beyond Unicode": made(2, b"U1", b"<", b"C\x08AAAAAAAA"),
    "more bytes than there are": made(900_000_000, b"f8", b"<", b"C\x08AAAAAAAA"),
    "a negative shape": made(-1, b"f8", b"<", b"C\x08AAAAAAAA"),
    "fields": DTYPE % b"V8" + b".",
    "times": DTYPE % b"M8" + b".",
    "complex numbers": DTYPE % b"c16" + b".",
    "a dtype from a list": b"cnumpy\ndtype\n((lVf8\natR.",
    "a comma string": DTYPE % b"f8,f8" + b".",
    "a place beyond memory": b"I1\nr\xff\xff\xff\x7f.",
    "another method of a word": b"cnumpy\nndarray\n(dVdo\nNsb.",
    "a slot of a word": b"cnumpy\nndarray\nN(dVdo\nNs\x86b.",
    "an array's own method": EMPTY + b"N(dV__setstate__\nNs\x86b.",
    "no array at all": EMPTY + b"Nb.",
    "endless depth": b"(" * 100_000 + b".",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_made_pickle_is_refused(tmp_path: Path, attack: str):
    (tmp_path / "a.pkl").write_bytes(ATTACKS[attack])
    with pytest.raises(
        DataError, match=r"must (hold arrays and plain values only|be a complete pickle); found"
    ):
        read_arrays(tmp_path / "a.pkl")
    values = {"x": np.arange(6.0).reshape(2, 3)}  # and nothing of ours was changed by it
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(values))
    np.testing.assert_array_equal(read_arrays(tmp_path / "b.pkl")["x"], values["x"])


def test_words_cannot_be_changed():
    for word in pickles._WORDS.values():
        with pytest.raises(AttributeError, match=r"can't set attribute|no attribute|object attribute"):
            word.do = print
        assert not hasattr(word, "__dict__")
