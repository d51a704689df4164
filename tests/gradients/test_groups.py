import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bogc.gradients import ONE_BLOCK, Block, GradientGroup, Layout, OverBlocks, arrange
from bogc.gradients.groups import CHUNK, WIDTH, LastAxis, sum_of

SIZES = st.sampled_from([1, 2, 5, WIDTH - 1, WIDTH, WIDTH + 1, 2 * WIDTH, 3 * WIDTH + 7])
SHAPES = st.lists(st.lists(st.integers(1, 5), max_size=3), min_size=1, max_size=3)


def block(name: str, *shapes: tuple[int, ...], owner: str = "image") -> Block:
    parameters = tuple(nn.Parameter(torch.randn(shape)) for shape in shapes)
    return Block(name, owner, parameters, tuple(f"p{i}" for i in range(len(shapes))))


TENSORS = SHAPES.map(lambda shapes: [tuple(shape) for shape in shapes]) | SIZES.map(lambda size: [(size,)])
SPECS = st.tuples(st.lists(TENSORS, min_size=1, max_size=4), st.integers(1, 3))
"""Shapes of the tensors of each block, and how many sources reach all of them."""


def built(spec: tuple[list[list[tuple[int, ...]]], int]) -> Layout:
    """Blocks of one dimension, of rows that are just full, of several rows, of several tensors."""
    blocks = [block(f"b{index}", *shapes) for index, shapes in enumerate(spec[0])]
    return Layout(blocks, [("fusion", "image", "sound")[: spec[1]]] * len(blocks))


def gradients(layout: Layout) -> dict[str, dict[int, Tensor]]:
    """By source and id of the parameter, in the parameter's shape."""
    return {
        source: {id(p): torch.randn(p.shape) for block in layout.blocks for p in block.parameters}
        for source in layout.sources[0]
    }


@given(SPECS)
def test_unpack_undoes_pack_and_what_fills_up_rows_is_zero(spec):
    layout = built(spec)
    found = gradients(layout)
    packed = layout.pack(found, torch.float64)
    assert packed.shape == (len(found), layout.size)
    assert layout.size % WIDTH == 0
    assert not bool(packed.view(len(found), -1, WIDTH)[:, layout.mask(packed) == 0].any())
    for row, own in zip(packed, found.values(), strict=True):
        for parameter, part in layout.unpack(row).items():
            assert torch.equal(part, own[id(parameter)])


@given(SPECS)
def test_take_undoes_fill_and_gives_what_was_packed(spec):
    layout = built(spec)
    found = gradients(layout)
    packed = layout.pack(found, torch.float64)
    taken = layout.take(packed)
    assert list(taken) == layout.pairs
    for block, own in zip(layout.blocks, layout.sources, strict=True):
        for source in own:
            expected = torch.cat([found[source][id(p)].reshape(-1) for p in block.parameters])
            assert torch.equal(taken[source, block.name], expected)
    assert torch.equal(layout.fill(taken, packed), packed)


@given(SPECS)
def test_runs_and_tensors_reach_every_parameter_once(spec):
    layout = built(spec)
    found = gradients(layout)
    packed = layout.pack(found, torch.float64)
    parts = [packed[0, place][part] for _, _, place in layout.runs() for part in layout.tensors(place)]
    own = found[layout.sources[0][0]]
    expected = [own[id(p)].reshape(-1) for block in layout.blocks for p in block.parameters]
    assert len(parts) == len(expected)
    assert all(torch.equal(part, whole) for part, whole in zip(parts, expected, strict=True))


@given(SPECS)
def test_sums_means_and_spread_are_those_of_each_block(spec):
    layout = built(spec)
    values = layout.pack(gradients(layout), torch.float64)
    rows = values.view(len(values), -1, WIDTH).sum(-1)
    spread = layout.spread(layout.sum(rows))
    fill = torch.rand(len(values), len(layout.blocks))
    filled = values.view(len(values), -1, WIDTH) + layout.spread(fill) * (1 - layout.mask(values))
    means = layout.mean(filled.sum(-1), fill)
    for index, (name, cut) in enumerate(layout.cut(values).items()):
        assert name == layout.blocks[index].name
        torch.testing.assert_close(layout.sum(rows)[:, index], cut.sum(-1), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(layout.mean(rows)[:, index], cut.mean(-1), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(means[:, index], cut.mean(-1), rtol=1e-9, atol=1e-9)
        start = layout.starts[index] // WIDTH
        for row in range(start, start + layout.rows[index]):
            assert torch.equal(spread[:, row, 0], layout.sum(rows)[:, index])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(spec=SPECS)
def test_pools_over_blocks_and_over_one_axis_agree_to_the_last_bit(spec, dtype):
    """Whatever lies beside a block, and whatever fills up its last row."""
    layout = built(spec)
    values = layout.pack(gradients(layout), dtype)
    dirty = values.view(len(values), -1, WIDTH) + 7 * (1 - layout.mask(values))
    pool = OverBlocks(layout)
    for over, alone in ((pool.sum, ONE_BLOCK.sum), (pool.mean, ONE_BLOCK.mean)):
        for (name, cut), block in zip(layout.cut(values).items(), layout.blocks, strict=True):
            start = layout.starts[layout.blocks.index(block)] // WIDTH
            expected = alone(cut.clone())
            assert name == block.name
            assert torch.equal(over(dirty)[:, start], expected)
            single = Layout([block], [layout.sources[0]])  # alone, in a group of its own
            found = single.fill({("fusion", name): cut[0]}, values)
            assert torch.equal(over(dirty)[0, start], getattr(OverBlocks(single), over.__name__)(
                found.view(len(found), -1, WIDTH))[0, 0])  # fmt: skip


@given(st.integers(0, 3), SIZES)
def test_one_block_keeps_leading_axes(axes, size):
    values = torch.randn(*[2] * axes, size)
    assert ONE_BLOCK.sum(values).shape == (*values.shape[:-1], 1)
    torch.testing.assert_close(ONE_BLOCK.sum(values), values.sum(-1, keepdim=True), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ONE_BLOCK.mean(values), values.mean(-1, keepdim=True), rtol=1e-12, atol=1e-12)
    assert isinstance(ONE_BLOCK, LastAxis)


@given(st.integers(1, 8), st.integers(0, 2))
def test_sum_of_few_is_the_sum_and_leaves_what_is_summed(count, axis):
    shape = [2, 3, 4]
    shape[axis] = count
    values = torch.randn(shape)
    kept = values.clone()
    found = sum_of(values, axis)
    torch.testing.assert_close(found, kept.sum(axis), rtol=1e-14, atol=1e-14)
    found.add_(1)
    assert torch.equal(values, kept)


def test_a_parameter_without_gradient_counts_as_zero():
    first = block("a", (2,), (3,))
    layout = Layout([first], [("fusion", "image")])
    ones = {id(p): torch.ones(p.shape) for p in first.parameters}
    packed = layout.pack({"fusion": ones, "image": {id(first.parameters[1]): torch.ones(3)}}, torch.float64)
    assert packed[:, :5].tolist() == [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert layout.fill({("image", "a"): torch.ones(5)}, packed)[:, :5].tolist() == [[0] * 5, [1] * 5]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_pack_widens_and_writes_over_the_memory_it_is_given(dtype):
    parameter = nn.Parameter(torch.ones(3, dtype=dtype))
    layout = Layout([Block("a", "image", (parameter,))], [("fusion",)])
    out = torch.full((1, WIDTH), 7.0, dtype=torch.float32)
    found = layout.pack({"fusion": {id(parameter): torch.ones(3, dtype=dtype)}}, torch.float32, out)
    assert found is out
    assert found[0].tolist() == [1, 1, 1] + [0] * (WIDTH - 3)


def test_strides_of_a_gradient_do_not_matter():
    parameter = nn.Parameter(torch.zeros(2, 3))
    layout = Layout([Block("a", "image", (parameter,))], [("fusion",)])
    turned = torch.arange(6.0).view(3, 2).T
    packed = layout.pack({"fusion": {id(parameter): turned}}, torch.float64)
    assert torch.equal(layout.unpack(packed[0])[parameter], turned)


def test_each_block_has_its_own_sources_row_by_row():
    first, second = block("a", (2,)), block("b", (1,), owner="sound")
    layout = Layout([first, second], [("fusion", "image"), ("fusion", "sound")])
    found = {
        source: {id(p): torch.full(p.shape, float(value)) for b in (first, second) for p in b.parameters}
        for value, source in enumerate(("fusion", "image", "sound"))
    }
    packed = layout.pack(found, torch.float64)
    assert {pair: values.tolist() for pair, values in layout.take(packed).items()} == {
        ("fusion", "a"): [0, 0], ("image", "a"): [1, 1], ("fusion", "b"): [0], ("sound", "b"): [2],
    }  # fmt: skip
    assert [(owner, own) for owner, own, _ in layout.runs()] == [
        ("image", ("fusion", "image")),
        ("sound", ("fusion", "sound")),
    ]


def test_layouts_of_the_same_names_sizes_and_sources_have_one_key():
    sources = [("fusion",)]
    assert Layout([block("a", (4,))], sources).key == Layout([block("a", (2, 2))], sources).key
    for other in (Layout([block("a", (5,))], sources), Layout([block("b", (4,))], sources)):
        assert other.key != Layout([block("a", (4,))], sources).key
    assert Layout([block("a", (4,))], [("image",)]).key != Layout([block("a", (4,))], sources).key


def test_chunks_are_the_rows_in_pieces_on_a_cpu_and_all_of_them_elsewhere():
    rows = 2 * CHUNK // WIDTH + 1
    layout = Layout([Block("a", "image", (nn.Parameter(torch.empty(rows * WIDTH)),))], [("fusion",)])
    pieces = layout.chunks(torch.device("cpu"))
    assert len(pieces) == 3
    assert [row for piece in pieces for row in range(rows)[piece]] == list(range(rows))
    assert layout.chunks(torch.device("cuda")) == [slice(0, rows)]


def reached(blocks: dict[str, list[Block]]) -> dict[str, set[int]]:
    return {source: {id(p) for b in own for p in b.parameters} for source, own in blocks.items()}


def test_blocks_are_arranged_by_how_many_sources_reach_them():
    encoder, other, head, alone, nothing = (block(name, (2,)) for name in ("e", "o", "h", "a", "n"))
    ids = reached({"fusion": [encoder, other, head], "image": [encoder, alone], "sound": [other]})
    found = arrange(ids, [encoder, other, head, alone, nothing])
    assert [[b.name for b in layout.blocks] for layout in found] == [["e", "o"], ["h", "a"]]
    assert [layout.sources for layout in found] == [
        (("fusion", "image"), ("fusion", "sound")),
        (("fusion",), ("image",)),
    ]


def test_a_block_is_reached_by_a_source_that_reaches_any_of_its_parameters():
    pair = block("a", (2,), (3,))
    ids = {"fusion": {id(pair.parameters[0])}, "image": {id(pair.parameters[1])}}
    (layout,) = arrange(ids, [pair])
    assert layout.sources == (("fusion", "image"),)


def test_dtypes_are_kept_apart():
    half = Block("half", "image", (nn.Parameter(torch.ones(2, dtype=torch.float16)),))
    full = block("full", (2,))
    found = arrange(reached({"fusion": [half, full]}), [half, full])
    assert [[b.name for b in layout.blocks] for layout in found] == [["half"], ["full"]]


def test_a_group_shows_its_gradients_in_rows():
    layout = Layout([block("a", (WIDTH + 1,))], [("fusion", "image")])
    values = torch.randn(2, layout.size)
    group = GradientGroup(layout, values, {"fusion": 3, "image": 3})
    assert group.per_row.shape == (2, 2, WIDTH)
    assert group.per_row.data_ptr() == values.data_ptr()
    assert layout.blocks[0].size == WIDTH + 1
