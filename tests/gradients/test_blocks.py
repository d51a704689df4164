import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bogc.gradients.blocks import Block, layer_blocks

SHAPES = st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=4)


def block_of(shapes: list[list[int]]) -> Block:
    return Block("layer", "image", tuple(nn.Parameter(torch.randn(shape)) for shape in shapes))


@given(SHAPES)
def test_split_undoes_flatten(shapes):
    block = block_of(shapes)
    flat = block.flatten([p.unsqueeze(0) for p in block.parameters])
    assert flat.shape == (1, block.size)
    for parameter, part in block.split(flat[0]):
        assert torch.equal(parameter, part)


@given(SHAPES, st.integers(1, 4))
def test_rows_stay_rows(shapes, rows):
    block = block_of(shapes)
    gradients = [torch.randn(rows, *shape) for shape in shapes]
    flat = block.flatten(gradients)
    for row in range(rows):
        assert torch.equal(flat[row], torch.cat([g[row].reshape(-1) for g in gradients]))


def test_parameter_without_gradient_counts_as_zero():
    block = block_of([[2], [3]])
    flat = block.flatten([None, torch.ones(4, 3)])
    assert torch.equal(flat, torch.tensor([0.0, 0, 1, 1, 1]).expand(4, 5))


def test_block_without_any_gradient_has_no_rows():
    assert block_of([[2], [3]]).flatten([None, None]) is None


def test_layers_are_named_by_their_path():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Sequential(nn.BatchNorm1d(3)))
    blocks = list(layer_blocks("image", "image", module, set()))
    assert [(block.name, block.size) for block in blocks] == [("image.0", 9), ("image.2.0", 6)]


def test_shared_and_frozen_parameters_are_counted_once_or_not_at_all():
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    first.bias.requires_grad_(False)
    blocks = list(layer_blocks("image", "image", nn.Sequential(first, second), set()))
    assert [(block.name, block.size) for block in blocks] == [("image.0", 4), ("image.1", 2)]
