"""The posterior routes by name, for configurations."""

from typing import Final

from bogc.posterior.conjugate import NormalInverseGammaRoute, NormalRoute, PosteriorRoute
from bogc.posterior.laplace import LaplaceRoute

ROUTES: Final[dict[str, type[PosteriorRoute]]] = {
    "normal": NormalRoute,
    "normal-inverse-gamma": NormalInverseGammaRoute,
    "laplace": LaplaceRoute,
}
