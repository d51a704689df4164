import importlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paper_repro.huang_simulation.simulation import (
    best_mse,
    expected_mse,
    latent,
    least_squares,
    mean_squared_error,
    mixed,
    target,
)

OVERLAPS = st.floats(0, 1)
K = st.integers(1, 4)


@given(K, OVERLAPS)
def test_best_error_is_the_one_that_theory_derives(k: int, w: float):
    theory = importlib.import_module("theory.06_siblings")
    assert best_mse(k, w) == pytest.approx(theory.simulation_risk(k, w))


@given(OVERLAPS, st.integers(0, 1000))
def test_modalities_by_the_definition(w: float, seed: int):
    z = latent(2, torch.Generator().manual_seed(seed))
    m = mixed(z, w)
    for n in range(2):
        for i in range(4):
            np.testing.assert_allclose(m[n, i], (1 - w) * z[n, i] + w * z[n, 0], atol=1e-12)
        assert target(m)[n] == pytest.approx(sum(float(x) for x in m[n].flatten()))


@given(st.integers(0, 1000))
def test_least_squares_solves_the_normal_equations(seed: int):
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.randn(20, 3, generator=generator), torch.randn(20, generator=generator)
    design = np.column_stack([np.ones(20), x.numpy()])
    expected = np.linalg.inv(design.T @ design) @ design.T @ y.numpy()
    np.testing.assert_allclose(least_squares(x, y), expected, atol=1e-9)
    predicted = design @ expected
    assert mean_squared_error(least_squares(x, y), x, y) == pytest.approx(
        np.mean((predicted - y.numpy()) ** 2)
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [2, 4])
def test_equal_modalities_do_not_upset_least_squares(seed: int, k: int):
    generator = torch.Generator().manual_seed(seed)
    seen, unseen = (mixed(latent(600, generator), 1.0) for _ in range(2))
    coefficients = least_squares(seen[:, :k].flatten(1), target(seen))
    assert mean_squared_error(coefficients, unseen[:, :k].flatten(1), target(unseen)) < 1e-18


def test_expected_error_of_least_squares():
    """The mean over 40 fits lies within 5 standard errors of the formula: fails once in a million seeds."""
    generator, w, k, samples = torch.Generator().manual_seed(3), 0.5, 1, 250
    errors = []
    for _ in range(40):
        seen, unseen = mixed(latent(samples, generator), w), mixed(latent(samples, generator), w)
        coefficients = least_squares(seen[:, :k].flatten(1), target(seen))
        errors.append(mean_squared_error(coefficients, unseen[:, :k].flatten(1), target(unseen)))
    assert abs(np.mean(errors) - expected_mse(k, w, samples)) < 5 * np.std(errors, ddof=1) / np.sqrt(40)
    assert np.mean(errors) > 1.3 * best_mse(k, w)


def test_many_samples_leave_the_best_error():
    assert expected_mse(3, 0.2, 10**9) == pytest.approx(best_mse(3, 0.2), rel=1e-6)
