"""The one data set that the tests need the network for."""

import pytest

from bogc.data import MultimodalDataset, load_mfeat
from bogc.errors import FetchError


@pytest.fixture(scope="session")
def mfeat() -> MultimodalDataset:
    """mfeat, from the user's own cache; the tests that need it are skipped when it cannot be fetched."""
    try:
        return load_mfeat()
    except FetchError as error:
        pytest.skip(f"mfeat could not be fetched: {error}")
