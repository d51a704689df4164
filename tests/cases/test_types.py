"""Things of another type, passed as users pass them: without the type checks of the tests."""

import pytest

from tests.processes import printed

SCRIPT = """
import torch
from torch import nn
from bogc import BOGC, ModalityPartition
layer = nn.Linear(2, 1)
loss = layer(torch.randn(4, 2)).squeeze(1)
backward = BOGC(ModalityPartition({{"image": layer}})).backward
parameter = nn.Parameter(torch.ones(3))
try:
    {call}
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            "backward([loss])",
            'LossError losses must map each source to its losses; found list. Pass {"fusion"',
        ),
        ("backward(loss)", "LossError losses must map each source to its losses; found Tensor"),
        ("backward(None)", "LossError losses must map each source to its losses; found NoneType"),
        ('backward({"fusion": [1.0]})', "losses['fusion']"),
        (
            "BOGC(ModalityPartition({'image': layer})).load_state_dict(None)",
            "StateError state must come from BOGC",
        ),
        (
            "BOGC(ModalityPartition({'image': layer})).load_state_dict([])",
            "StateError state must come from BOGC",
        ),
        (
            "BOGC(layer)",
            "TypeMismatchError partition must be of type ModalityPartition; found Linear. Pass Mod",
        ),
        ('ModalityPartition({"image": parameter})', "wrap a bare parameter as nn.ParameterList([parameter])"),
        ('ModalityPartition({"image": layer}, shared=[parameter])', "nn.ParameterList([parameter])"),
        ("ModalityPartition(layer)", "PartitionError modalities must map at least one name"),
        ('ModalityPartition({"image": layer.weight})', "nn.ParameterList([parameter])"),
    ],
)
def test_the_error_names_what_to_pass(call: str, words: str):
    assert words in printed(SCRIPT.format(call=call))
