import torch

from bogc.calibration import error_function
from bogc.calibration.error_function import erf, rational_erf


def test_the_rational_form_is_erf_to_float32():
    """On half a million numbers of all sizes, against float64."""
    x = torch.cat([torch.logspace(-30, 2, 200_001), torch.linspace(0, 6, 300_001)])
    x = torch.cat([x, -x]).float()
    exact = torch.special.erf(x.double())
    torch.testing.assert_close(rational_erf(x).double(), exact, rtol=4e-7, atol=0)
    assert rational_erf(x).abs().max() <= 1
    assert rational_erf(torch.zeros(1)) == 0


def test_nan_and_infinity_are_those_of_erf():
    x = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=torch.float32)
    torch.testing.assert_close(rational_erf(x), torch.special.erf(x), equal_nan=True)


def test_it_is_chosen_where_float32_is_compiled(monkeypatch):
    x = torch.linspace(-4, 4, 101, dtype=torch.float32)
    assert torch.equal(erf(x.clone()), torch.special.erf(x))
    monkeypatch.setattr(error_function.torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(erf(x.clone()), rational_erf(x))
    assert torch.equal(erf(x.double()), torch.special.erf(x.double()))
