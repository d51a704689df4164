import dataclasses

import pytest
import torch

from bogc.models import ModalOutputs


def test_is_frozen():
    outputs = ModalOutputs(torch.zeros(1, 2), {}, {})
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'fused'"):
        outputs.fused = torch.ones(1, 2)
