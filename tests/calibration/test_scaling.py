import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration import SCALINGS, MatchEachBlock, MatchPlainSum, Unscaled
from tests.properties.strategies import vectors

NUMBERS = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
BLOCKS = st.fixed_dictionaries({"encoder": vectors(3, NUMBERS), "head": vectors(2, NUMBERS)})


def flat(directions: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(directions.values()))


@given(BLOCKS, BLOCKS)
def test_match_plain_sum_has_the_norm_of_the_plain_sum(directions, plain):
    found = flat(MatchPlainSum()(directions, plain)).norm()
    expected = flat(plain).norm() if flat(directions).norm() > 0 else torch.tensor(0.0)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


@given(BLOCKS, BLOCKS)
def test_match_plain_sum_keeps_the_direction_of_the_whole_update(directions, plain):
    """One common factor: blocks keep their lengths relative to each other."""
    found = flat(MatchPlainSum()(directions, plain))
    before = flat(directions)
    torch.testing.assert_close(found * before.norm(), before * found.norm(), rtol=1e-12, atol=0)


@given(BLOCKS, BLOCKS, st.floats(1e-3, 1e3))
def test_match_plain_sum_is_blind_to_the_length_it_is_given(directions, plain, factor):
    rescaled = {name: factor * value for name, value in directions.items()}
    expected = flat(MatchPlainSum()(directions, plain))
    torch.testing.assert_close(flat(MatchPlainSum()(rescaled, plain)), expected, rtol=1e-12, atol=0)


@given(BLOCKS, BLOCKS)
def test_match_each_block_is_match_plain_sum_block_by_block(directions, plain):
    found = MatchEachBlock()(directions, plain)
    for name, direction in directions.items():
        expected = MatchPlainSum()({name: direction}, {name: plain[name]})[name]
        torch.testing.assert_close(found[name], expected, rtol=1e-12, atol=0)


@given(BLOCKS, BLOCKS, st.floats(1e-3, 1e3))
def test_match_each_block_lets_no_block_fall_behind(directions, plain, factor):
    """Shrinking one block changes nothing, while one common factor then moves the others further."""
    shrunk = {**directions, "encoder": directions["encoder"] * factor}
    found, expected = MatchEachBlock()(shrunk, plain), MatchEachBlock()(directions, plain)
    for name in directions:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("length", [0.0, 1.0, 1e3, 1e15])
@pytest.mark.parametrize("kind", [MatchPlainSum, MatchEachBlock])
def test_a_zero_update_stays_zero_whatever_the_plain_sum(kind, dtype, length):
    directions = {"encoder": torch.zeros(3, dtype=dtype)}
    plain = {"encoder": torch.full((3,), length, dtype=dtype)}
    assert kind()(directions, plain)["encoder"].tolist() == [0, 0, 0]


@given(BLOCKS, BLOCKS)
def test_unscaled_is_the_identity(directions, plain):
    found = Unscaled()(directions, plain)
    assert all(torch.equal(found[name], directions[name]) for name in directions)


@pytest.mark.parametrize("kind", SCALINGS.values())
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_scalings_keep_names_shapes_dtypes_devices_and_inputs(kind, dtype, device):
    directions = {name: torch.ones(size, dtype=dtype, device=device) for name, size in (("a", 2), ("b", 3))}
    found = kind()(directions, {name: 2 * value for name, value in directions.items()})
    for name, value in directions.items():
        assert torch.equal(value, torch.ones_like(value))
        assert (found[name].shape, found[name].dtype, found[name].device) == (
            value.shape, value.dtype, value.device,
        )  # fmt: skip
