import pytest
import torch
from hypothesis import given

from bogc.belief import DimensionsFrame, DirichletBelief, Evidence, Opinion
from bogc.calibration import CalibratedUpdate, calibrate
from bogc.combination import reduced
from bogc.errors import DtypeError, MassSumError, NonFiniteError, RangeError, ShapeError
from bogc.posterior import GradientPosterior
from tests.calibration.problems import problems, solve


def posterior(size: int, dtype: torch.dtype = torch.float64) -> GradientPosterior:
    return GradientPosterior(torch.ones(size, dtype=dtype), torch.ones(size, dtype=dtype))


def opinion(*shape: int, dtype: torch.dtype = torch.float64) -> Opinion:
    evidence = Evidence(torch.ones(*shape, dtype=dtype), 2.0)
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(evidence))


@given(problems())
def test_the_update_is_kappa_times_the_weighted_sum_of_means(problem):
    means = problem[0]
    update = solve(*problem)
    for d in range(means.shape[1]):
        weighted = sum(
            w * mean for w, mean in zip(update.weights[:, d].tolist(), means[:, d].tolist(), strict=True)
        )
        expected = float(update.conservatism[d]) * weighted
        assert update.direction[d].item() == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(problems())
def test_updates_pass_the_check(problem):
    update = solve(*problem)
    CalibratedUpdate(update.direction, update.weights, update.conservatism)


def test_the_conservatism_of_a_block_is_repeated_for_its_dimensions():
    one = opinion(3)
    update = calibrate([posterior(3)], [one], one, frame=DimensionsFrame())
    assert update.conservatism.shape == (3,)
    CalibratedUpdate(update.direction, update.weights, update.conservatism)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dtype_and_device_are_kept(dtype, device):
    means = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=dtype, device=device)
    update = solve(means, torch.full_like(means, 0.5), torch.full_like(means, 0.75))
    assert (update.direction.dtype, update.direction.device) == (means.dtype, means.device)
    kappa = 2 * (1 - 0.25 / (1 - 2 * 0.375 * 0.125))
    expected = [kappa * 2, kappa * 0.5]
    assert update.direction.tolist() == pytest.approx(expected, rel=4 * torch.finfo(dtype).eps)


NAN = float("nan")
GOOD = {"direction": [1.0, 1.0], "weights": [[0.5, 0.5], [0.5, 0.5]], "conservatism": [1.0, 2.0]}
INVALID = [
    ({"direction": [1.0, NAN]}, NonFiniteError, r"direction must be finite; found nan at index \[1\]. Look"),
    (
        {"weights": [[NAN, 0.5], [0.5, 0.5]]},
        NonFiniteError,
        r"weights must be finite; found nan at index \[0, 0\]",
    ),
    (
        {"weights": [[1.5, 0.5], [-0.5, 0.5]]},
        RangeError,
        r"weights must not be negative; found -0.5 at .*Derive",
    ),
    (
        {"weights": [[0.5, 0.6], [0.5, 0.5]]},
        MassSumError,
        r"weights must sum to 1; found 1.1 at index \[1\]. Div",
    ),
    (
        {"conservatism": [-1.0, 0.0]},
        RangeError,
        r"conservatism must not be negative; found -1 at index \[0\]. D",
    ),
]


@pytest.mark.parametrize(("change", "error", "match"), INVALID)
def test_fields_that_are_no_update_are_refused(change, error, match):
    fields = {name: torch.tensor(value) for name, value in {**GOOD, **change}.items()}
    with pytest.raises(error, match=match):
        CalibratedUpdate(**fields)


FIT = r"posteriors and opinions must be about the same dimensions; found .*\. Pass the opinions of these"
MISFITS = [
    (
        [posterior(2)],
        [],
        opinion(2, 2),
        ShapeError,
        "must be one a source; found 1 posteriors, 0 opinions and 1 means. Pa",
    ),
    (
        [],
        [],
        opinion(2, 2),
        ShapeError,
        "must be one a source; found 0 posteriors, 0 opinions",
    ),
    ([posterior(3)], [opinion(2, 2)], opinion(3, 2), ShapeError, FIT),
    ([posterior(3), posterior(2)], [opinion(3, 2)] * 2, opinion(3, 2), ShapeError, FIT),
    ([posterior(3)], [opinion(3, 2)], opinion(2, 2), ShapeError, FIT),
    (
        [posterior(2, torch.float32)],
        [opinion(2, 2)],
        opinion(2, 2),
        DtypeError,
        "must have one dtype; found .* Con",
    ),
    (
        [posterior(2)],
        [opinion(2, 2)],
        opinion(2, 2, dtype=torch.float32),
        DtypeError,
        "must have one dtype; found",
    ),
]


@pytest.mark.parametrize(("posteriors", "opinions", "fused", "error", "match"), MISFITS)
def test_sources_that_do_not_fit_are_refused(posteriors, opinions, fused, error, match):
    with pytest.raises(error, match=match):
        calibrate(posteriors, opinions, fused)


def test_opinions_of_another_frame_are_refused():
    sources = [opinion(3, 2), opinion(3, 2)]
    with pytest.raises(ShapeError, match=FIT):
        calibrate([posterior(3)] * 2, sources, reduced.combine(sources), frame=DimensionsFrame())
