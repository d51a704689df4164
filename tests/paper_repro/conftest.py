"""The digits, and what a ledger row and a file of results look like."""

import pytest

from bogc.data.dataset import MultimodalDataset
from bogc.errors import FetchError
from paper_repro.tmc_handwritten.protocols import digits


@pytest.fixture(scope="session")
def mfeat() -> MultimodalDataset:
    try:
        return digits()
    except FetchError as error:
        pytest.skip(f"the digits could not be fetched: {error}")
