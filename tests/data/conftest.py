"""The data sets that the tests need the network for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bogc.data import MultimodalDataset, load_emoji, load_kipan, load_mfeat, load_mnist_halves
from bogc.errors import FetchError


def fetched(load: Callable[[Path | None], MultimodalDataset]) -> MultimodalDataset:
    """Load from the user's own cache; the tests that need it are skipped when it cannot be fetched."""
    try:
        return load(None)
    except FetchError as error:
        pytest.skip(f"{load.__name__} could not fetch its archive: {error}")


@pytest.fixture(scope="session")
def mfeat() -> MultimodalDataset:
    return fetched(load_mfeat)


@pytest.fixture(scope="session")
def mnist_halves() -> MultimodalDataset:
    return fetched(load_mnist_halves)


@pytest.fixture(scope="session")
def emoji() -> MultimodalDataset:
    return fetched(load_emoji)


@pytest.fixture(scope="session")
def kipan() -> MultimodalDataset:
    return fetched(load_kipan)
