import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bogc.errors import NonFiniteError, RangeError, ZeroVarianceError
from bogc.posterior import StudentTPosterior

FIELDS = {"df": st.floats(2.1, 1e3), "loc": st.floats(-1e3, 1e3), "scale": st.floats(1e-3, 1e3)}


@given(st.fixed_dictionaries(FIELDS), st.floats(-10, 10))
def test_moments_and_density_are_those_of_scipy(fields, z):
    posterior = StudentTPosterior(**{name: torch.tensor([value]) for name, value in fields.items()})
    oracle = stats.t(**fields)
    gaussian = posterior.to_gaussian()
    assert gaussian.loc.item() == pytest.approx(oracle.mean())
    assert gaussian.variance.item() == pytest.approx(oracle.var())
    g = fields["loc"] + z * fields["scale"]
    assert posterior.to_pyro().log_prob(torch.tensor([g])).item() == pytest.approx(oracle.logpdf(g), rel=1e-6)


def test_one_df_serves_all_dimensions():
    posterior = StudentTPosterior(torch.tensor([4.0]), torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(posterior.variance, torch.full((3,), 2.0))
    assert posterior.to_pyro().event_shape == (3,)


ONE = torch.ones(1, dtype=torch.float64)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ((2 * ONE, ONE, ONE), RangeError, "df must exceed 2 for a variance; found 2"),
        ((3 * ONE, ONE, 0 * ONE), ZeroVarianceError, "scale must be positive"),
        ((3 * ONE, ONE / 0, ONE), NonFiniteError, "loc must be finite"),
    ],
)
def test_impossible_posteriors_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        StudentTPosterior(*fields)
