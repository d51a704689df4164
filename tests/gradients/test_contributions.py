"""Moments without stored contributions against contributions that are stored, in float64."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bogc.gradients import contributions
from bogc.gradients.contributions import (
    Contributions,
    OuterProducts,
    StoredRows,
    WordRows,
    centred_scatter,
    formed_moments,
    paired_scatter,
    squares_scatter,
)

SPREADS = {"spread": (0.0, 1.0), "far from zero": (1000.0, 0.01), "nearly zero": (0.0, 1e-9)}


def written(form: Contributions, mean: Tensor, tolerance: float | None = None) -> Tensor:
    """Scatter that a form writes over what was there; its mean has to be ``mean``, to the dtype's digits."""
    found, scatter = (torch.full_like(mean, torch.nan) for _ in range(2))
    form.write(found, scatter)
    share = tolerance or (1e-10 if mean.dtype == torch.float64 else 1e-4)
    torch.testing.assert_close(found, mean, rtol=share, atol=share * float(mean.abs().max()))
    return scatter


def scatter(form: Callable[..., None], *arguments: Tensor) -> Tensor:
    """What a form writes over what was there; its last argument is the mean."""
    out = torch.full_like(arguments[-1], torch.nan)
    form(*arguments, out)
    return out


def outer(delta: Tensor, x: Tensor) -> OuterProducts:
    return OuterProducts(delta, lambda part: x[part])


def drawn(spread: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    mean, deviation = SPREADS[spread]
    return (mean + deviation * torch.randn(shape, dtype=torch.float64)).to(dtype)


def oracle(delta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scatter of stored rows [N, G, O, K]."""
    rows = torch.einsum("nglo,nglk->ngok", delta.double(), x.double())
    return rows.mean(0), (rows - rows.mean(0)).square().sum(0)


@pytest.mark.parametrize("delta_spread", SPREADS)
@pytest.mark.parametrize("x_spread", SPREADS)
@pytest.mark.parametrize("positions", [1, 3, 20])
def test_float32_does_not_cancel(delta_spread, x_spread, positions):
    """Numbers of mean 1000 and standard deviation .01 themselves have an error of .3 % of it in float32."""
    delta, x = drawn(delta_spread, 64, 1, positions, 7), drawn(x_spread, 64, 1, positions, 9)
    mean, expected = oracle(delta, x)
    found = written(outer(delta, x), mean[0].float())
    assert found.dtype == torch.float32
    tolerance = 1e-4 if "far from zero" not in (delta_spread, x_spread) else 0.02
    torch.testing.assert_close(found.double(), expected[0], rtol=tolerance, atol=0)


def test_the_plain_difference_would_have_cancelled():
    delta, x = drawn("far from zero", 64, 1, 1, 7), drawn("far from zero", 64, 1, 1, 9)
    mean, expected = oracle(delta, x)
    rows = torch.einsum("nglo,nglk->ngok", delta, x)
    plain = rows.square().sum(0) - 64 * mean.float().square()
    assert ((plain - expected).abs() > expected).any()


def test_a_constant_contribution_has_no_scatter_to_rounding():
    """delta = 1 / x: neither factor is constant, so the product of squares is used, and cancels."""
    x = 1 + torch.rand(64, 1, 1, 1, dtype=torch.float32)
    found = written(outer(1 / x, x), torch.ones(1, 1, dtype=torch.float32))
    assert 0 <= found.item() <= 64 * 1e-6


@given(
    count=st.integers(2, 5), groups=st.integers(1, 3), positions=st.integers(0, 8),
    width=st.integers(1, 4), inside=st.integers(1, 4), seed=st.integers(0, 99),
)  # fmt: skip
def test_outer_products_scatter_like_stored_rows(count, groups, positions, width, inside, seed):
    torch.manual_seed(seed)
    delta = torch.randn(count, groups, positions, width)
    x = torch.randn(count, groups, positions, inside)
    mean, expected = oracle(delta, x)
    shape = (groups * width, inside)
    found = written(outer(delta, x), mean.reshape(shape))
    torch.testing.assert_close(found, expected.reshape(shape), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("chunk", [1, 40, 10_000])
def test_the_forms_agree_for_any_chunk(chunk, monkeypatch):
    monkeypatch.setattr(contributions, "CHUNK", chunk)
    delta, x = torch.randn(9, 1, 4, 3), torch.randn(9, 1, 4, 5)
    mean, expected = oracle(delta, x)
    found, own = (torch.full_like(mean, torch.nan) for _ in range(2))
    formed_moments(delta, lambda part: x[part], found, own)
    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(own, expected)
    torch.testing.assert_close(scatter(paired_scatter, delta[:, 0], x[:, 0], mean[0]), expected[0])
    mean, expected = oracle(delta[:, :, :1], x[:, :, :1])
    for form in (squares_scatter, centred_scatter):
        torch.testing.assert_close(scatter(form, delta[:, 0, 0], x[:, 0, 0], mean[0]), expected[0])


def test_a_device_that_is_not_asked_gets_the_form_that_is_always_right(monkeypatch):
    monkeypatch.setattr(contributions, "_spread", lambda delta: False)
    for positions in (1, 3):
        delta, x = torch.randn(9, 1, positions, 3), torch.randn(9, 1, positions, 5)
        mean, expected = oracle(delta, x)
        torch.testing.assert_close(written(outer(delta, x), mean[0]), expected[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_gpu_nothing_waits():
    device = torch.device("cuda")
    delta, x = torch.randn(9, 1, 3, 3, device=device), torch.randn(9, 1, 3, 5, device=device)
    words, mean = torch.randint(4, (9, 3), device=device), torch.zeros(3, 5, device=device)
    torch.cuda.set_sync_debug_mode("error")
    try:
        outer(delta, x).write(mean, mean.clone())
        outer(delta[:, :, :1], x[:, :, :1]).write(mean, mean.clone())
        WordRows(words, x[:, 0]).write(mean.new_zeros(4, 5), mean.new_zeros(4, 5))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_gradients_are_multiplied_in_bfloat16_unless_they_hardly_vary():
    for spread, tolerance in (("spread", 0.03), ("far from zero", 1e-3)):
        delta = drawn(spread, 256, 1, 1, 7, dtype=torch.bfloat16)
        x = drawn("spread", 256, 1, 1, 9)
        mean, expected = oracle(delta, x)
        found = written(outer(delta, x), mean[0].float(), 0.01 if spread == "spread" else 1e-4)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected[0], rtol=tolerance, atol=0)


@pytest.mark.parametrize("spread", SPREADS)
def test_stored_rows(spread):
    rows = drawn(spread, 64, 7)
    mean = rows.double().mean(0)
    found = written(StoredRows(rows), mean.float())
    tolerance = 0.01 if spread == "far from zero" else 1e-5
    torch.testing.assert_close(found.double(), (rows.double() - mean).square().sum(0), rtol=tolerance, atol=0)


@given(count=st.integers(2, 5), positions=st.integers(0, 6), size=st.integers(1, 5), seed=st.integers(0, 99))
def test_words_scatter_like_stored_tables(count, positions, size, seed):
    torch.manual_seed(seed)
    words = torch.randint(size, (count, positions))
    delta = torch.randn(count, positions, 3)
    tables = torch.zeros(count, size, 3)
    for n in range(count):
        tables[n].index_add_(0, words[n], delta[n])
    mean = tables.mean(0)
    found = written(WordRows(words, delta), mean)
    torch.testing.assert_close(found, (tables - mean).square().sum(0), rtol=1e-9, atol=1e-12)


def test_a_word_with_the_same_gradient_in_every_row_does_not_cancel():
    delta = drawn("far from zero", 64, 1, 3)
    mean = delta.double().mean((0, 1), keepdim=True)[0]
    found = written(WordRows(torch.zeros(64, 1, dtype=torch.int64), delta), mean.float())
    torch.testing.assert_close(found.double(), (delta.double() - mean).square().sum(0), rtol=0.01, atol=0)
