import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration.layout import Layout, block_sizes, layout, spread, sum_rows

SIZES = st.lists(st.sampled_from([1, 127, 128, 129, 4096, 4097, 9000]), min_size=1, max_size=5).map(tuple)
CHUNKS = st.sampled_from([128, 1024, 2**16])
CPU = torch.device("cpu")


def numbered(where: Layout) -> list[torch.Tensor]:
    """Blocks whose elements are all different and none of them 0."""
    return list(torch.arange(1.0, sum(where.sizes) + 1).split(where.sizes))


@given(sizes=SIZES, chunk=CHUNKS)
def test_pieces_hold_every_element_once_and_zeros_otherwise(sizes, chunk):
    where = Layout(sizes, chunk)
    pieces = where.pieces(numbered(where))
    flat = torch.cat([piece.reshape(-1) for piece in pieces])
    assert len(flat) == where.length
    assert sorted(flat[flat != 0].tolist()) == list(range(1, sum(where.sizes) + 1))
    assert [len(piece) for piece in pieces] == where.rows
    assert all(piece.numel() <= where.chunk for piece in pieces)


@given(sizes=SIZES, chunk=CHUNKS)
def test_split_and_blocks_undo_each_other(sizes, chunk):
    where = Layout(sizes, chunk)
    pieces, flat = where.pieces(numbered(where)), torch.zeros(where.length)
    for view, piece in zip(where.split(flat), pieces, strict=True):
        view.copy_(piece)
    for found, block in zip(where.blocks(flat), numbered(where), strict=True):
        assert torch.equal(found, block)


@given(sizes=SIZES, chunk=CHUNKS)
def test_rows_add_up_to_blocks(sizes, chunk):
    where = Layout(sizes, chunk)
    blocks = numbered(where)
    rows = torch.cat([piece.sum(1) for piece in where.pieces(blocks)]).unsqueeze(0)
    expected = torch.stack([block.sum() for block in blocks])
    torch.testing.assert_close(sum_rows(where, rows)[0], expected)


@given(sizes=SIZES, chunk=CHUNKS)
def test_a_number_of_a_block_reaches_each_of_its_elements(sizes, chunk):
    where = Layout(sizes, chunk)
    values = torch.arange(1.0, len(where.sizes) + 1).unsqueeze(0)
    flat = torch.empty(where.length)
    for piece, (column,) in zip(where.split(flat), spread(where, values), strict=True):
        piece.copy_(column.expand_as(piece))
    for value, block in zip(values[0], where.blocks(flat), strict=True):
        assert bool((block == value).all())


def test_large_blocks_are_not_copied():
    block = torch.randn(9000)
    assert Layout((9000,), 4096).pieces([block])[0].data_ptr() == block.data_ptr()


def test_layouts_and_their_constants_are_made_once():
    where = layout((5, 130), 1024)
    assert where is layout((5, 130), 1024)
    assert block_sizes(where, torch.float64, CPU).tolist() == [5, 130]
