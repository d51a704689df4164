import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import ConfigError
from paper_repro.mimo_subroutine import subroutines as module
from paper_repro.mimo_subroutine.subroutines import (
    BASELINES,
    DIRECTION,
    WEIGHTS,
    gradients,
    mimo_weights,
    mmpareto_pairs,
    subroutines,
)

SIZE = 600
needs_torchjd = pytest.mark.skipif(not module.TORCHJD, reason="torchjd is not installed")


def rows_and_losses(seed: int, sources: int = 3):
    generator = torch.Generator().manual_seed(seed)
    rows = gradients(sources, SIZE, generator)
    return rows, list(torch.rand(sources, generator=generator, dtype=torch.float32))


@given(st.lists(st.floats(0, 5), min_size=3, max_size=5))
def test_weights_by_the_definition(losses: list[float]):
    found = mimo_weights([torch.tensor(loss) for loss in losses])
    exponentials = [math.exp((loss - max(losses[1:])) / 0.1) for loss in losses[1:]]
    expected = [1.0, *(value / sum(exponentials) for value in exponentials)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)


def test_gradients_are_float32_of_unit_variance_and_the_last_opposes_the_first():
    """Cosines of 600,000 dimensions lie within 0.01 of their means: 7 standard deviations."""
    rows = gradients(3, 600_000, torch.Generator().manual_seed(0))
    assert rows.dtype == torch.float32
    cosines = torch.corrcoef(rows)
    np.testing.assert_allclose(rows.square().mean(1), 1, atol=0.02)
    assert cosines[0, 1] == pytest.approx(0, abs=0.01)
    assert cosines[0, 2] == pytest.approx(-0.5, abs=0.01)


@needs_torchjd
@given(st.integers(0, 100))
def test_mimo_direction_is_the_weighted_sum(seed: int):
    rows, losses = rows_and_losses(seed)
    weights = mimo_weights(losses)
    expected = sum(float(w) * row for w, row in zip(weights, rows, strict=True))
    torch.testing.assert_close(subroutines(rows, losses)[DIRECTION](), expected, rtol=1e-4, atol=1e-5)


@given(st.integers(0, 100), st.integers(3, 5))
def test_mmpareto_treats_each_encoder_by_its_own_pair(seed: int, sources: int):
    rows, _ = rows_and_losses(seed, sources)
    found = mmpareto_pairs(rows)
    assert [len(part) for part in found] == [len(part) for part in rows[0].chunk(sources - 1)]
    start = 0
    for number, part in enumerate(found, start=1):
        fused, own = (rows[n, start : start + len(part)] for n in (0, number))
        start += len(part)
        assert float(part @ fused) >= -1e-3 * float(part.norm() * fused.norm())
        assert float(part @ own) >= -1e-3 * float(part.norm() * own.norm())
        assert float(part.norm()) >= 1.5 * float((fused + own).norm()) * (1 - 1e-5)


@needs_torchjd
def test_every_method_gives_a_direction_of_the_gradients_it_was_given():
    rows, losses = rows_and_losses(0)
    before = rows.clone()
    bound = subroutines(rows, losses)
    assert list(bound) == [WEIGHTS, DIRECTION, *BASELINES]
    for name in BASELINES[:-1]:
        direction = bound[name]()
        assert direction.shape == (SIZE,)
        weights = torch.linalg.lstsq(rows.T, direction[:, None]).solution
        outside = direction - rows.T @ weights[:, 0]
        assert float(outside.norm()) < 1e-4 * float(direction.norm())  # in the span of the rows
    assert torch.equal(rows, before)


def test_without_torchjd_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TORCHJD", False)
    with pytest.raises(ConfigError, match=r"torchjd must be installed.*pip install"):
        subroutines(*rows_and_losses(0))
