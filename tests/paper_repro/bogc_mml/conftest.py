"""Training in float32, as on the command line."""

import pytest
import torch


@pytest.fixture(autouse=True)
def float32(strict: None) -> None:
    torch.set_default_dtype(torch.float32)
