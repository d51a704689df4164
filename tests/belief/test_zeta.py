import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.belief.zeta import subset_sum, superset_difference, superset_difference_, superset_sum
from tests.properties.strategies import vectors

ON_SUBSETS = st.integers(1, 5).flatmap(lambda k: vectors(2**k, st.floats(-1, 1)))


def slow_superset_sum(values: list[float]) -> list[float]:
    return [sum(v for b, v in enumerate(values) if a & b == a) for a in range(len(values))]


def slow_subset_sum(values: list[float]) -> list[float]:
    return [sum(v for b, v in enumerate(values) if a & b == b) for a in range(len(values))]


@given(ON_SUBSETS)
def test_superset_sum_adds_over_supersets(values):
    expected = torch.tensor(slow_superset_sum(values.tolist()), dtype=torch.float64)
    torch.testing.assert_close(superset_sum(values), expected, rtol=0, atol=1e-13)


@given(ON_SUBSETS)
def test_subset_sum_adds_over_subsets(values):
    expected = torch.tensor(slow_subset_sum(values.tolist()), dtype=torch.float64)
    torch.testing.assert_close(subset_sum(values), expected, rtol=0, atol=1e-13)


@given(ON_SUBSETS)
def test_superset_difference_inverts_superset_sum_both_ways(values):
    torch.testing.assert_close(superset_difference(superset_sum(values)), values, rtol=0, atol=1e-13)
    torch.testing.assert_close(superset_sum(superset_difference(values)), values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("transform", [superset_sum, subset_sum, superset_difference])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_each_row_of_a_batch_is_transformed_alone_and_the_input_is_kept(transform, batch):
    values = torch.rand(*batch, 8)
    kept = values.clone()
    found = transform(values)
    assert torch.equal(values, kept)
    assert found.shape == values.shape
    for row, alone in zip(found.reshape(-1, 8), values.reshape(-1, 8), strict=True):
        assert torch.equal(row, transform(alone))


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_the_inverse_may_be_written_over_a_product(batch):
    product = superset_sum(torch.rand(*batch, 8)) * superset_sum(torch.rand(8))
    expected = superset_difference(product)
    assert torch.equal(superset_difference_(product), expected)
    assert torch.equal(product, expected)


def test_any_strides_are_transformed_alike():
    values = torch.rand(8, 3)
    assert torch.equal(superset_sum(values.T), superset_sum(values.T.contiguous()))
    assert torch.equal(superset_sum(values[:, 0].expand(2, 8)), superset_sum(values[:, 0].repeat(2, 1)))
