import pytest

from bogc import posterior
from bogc.posterior import ROUTES, PosteriorRoute, program
from tests.processes import printed


def test_every_route_is_registered_by_name_and_made_without_arguments():
    assert list(ROUTES) == ["normal", "normal-inverse-gamma", "filtered", "matched"]
    assert all(isinstance(route(), PosteriorRoute) for route in ROUTES.values())


def test_what_needs_pyro_is_found_by_name():
    for name in posterior.PROGRAM:
        assert getattr(posterior, name) is getattr(program, name)
    with pytest.raises(AttributeError, match=r"'bogc.posterior' has no attribute 'nothing'"):
        posterior.nothing  # noqa: B018


def test_pyro_is_imported_when_it_is_asked_for_and_not_before():
    """A process that has not imported it: objects are built, and one is turned into a distribution."""
    code = (
        "import sys, torch; from bogc.posterior import GradientPosterior as G; "
        "g = G(torch.zeros(2), torch.ones(2)); before = 'pyro' in sys.modules; g.to_pyro(); "
        "print(before, 'pyro' in sys.modules)"
    )
    assert printed(code).split() == ["False", "True"]
