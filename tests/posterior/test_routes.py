from bogc.posterior import ROUTES, PosteriorRoute


def test_every_route_is_made_without_arguments():
    assert list(ROUTES) == ["normal", "normal-inverse-gamma", "laplace"]
    assert all(isinstance(route(), PosteriorRoute) for route in ROUTES.values())
