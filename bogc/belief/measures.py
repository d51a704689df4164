"""Scalar readings of mass functions, opinions and Dirichlets."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bogc.belief.dirichlet import DirichletBelief
from bogc.belief.mass import MassFunction
from bogc.belief.opinion import Opinion
from bogc.belief.zeta import subset_sum, superset_sum
from bogc.checks import check_type
from bogc.errors import RangeError


def belief(mass: MassFunction) -> Float[Tensor, "*batch P"]:
    """bel(A) = sum of m(B) over non-empty B within A (Shafer 1976)."""
    check_type("mass", mass, MassFunction, "Use MassFunction.from_opinion(opinion).")
    return subset_sum(mass.values) - mass.values[..., :1]


def plausibility(mass: MassFunction) -> Float[Tensor, "*batch P"]:
    """pl(A) = sum of m(B) over B that meet A = bel(Theta) - bel(complement of A)."""
    below = belief(mass)
    return below[..., -1:] - below.flip(-1)  # the complement of index i is 2**K - 1 - i


def commonality(mass: MassFunction) -> Float[Tensor, "*batch P"]:
    """q(A) = sum of m(B) over B containing A; Dempster's rule multiplies it."""
    check_type("mass", mass, MassFunction, "Use MassFunction.from_opinion(opinion).")
    return superset_sum(mass.values)


def pignistic_probability(mass: MassFunction) -> Float[Tensor, "*batch K"]:
    """BetP(k) = sum of m(A) / |A| over A containing k (Smets and Kennes 1994)."""
    check_type("mass", mass, MassFunction, "Use MassFunction.from_opinion(opinion).")
    hypotheses = mass.hypotheses
    subsets = torch.arange(2**hypotheses, device=mass.values.device)
    members = (subsets.unsqueeze(1) >> torch.arange(hypotheses, device=subsets.device)) & 1  # [P, K]
    shares = members / members.sum(1, keepdim=True).clamp_min(1)
    return mass.values @ shares.to(mass.values.dtype)


def projected_probability(opinion: Opinion) -> Float[Tensor, "*batch K"]:
    """B + a u: the pignistic probability with base rates instead of equal shares."""
    check_type("opinion", opinion, Opinion, "Use Opinion.from_dirichlet(dirichlet).")
    return opinion.projected_probability


def conflict(opinions: Sequence[Opinion]) -> Float[Tensor, "*batch"]:
    """C = mass that the unnormalised conjunction puts on the empty set, in [0, 1].

    1 - C = sum_k (prod_m (b_mk + u_m) - prod_m u_m) + prod_m u_m, with every product expanded so that only
    positive terms are added.
    """
    if not opinions:
        raise RangeError("opinions", "must hold at least one source", 0, "Name the sources.")
    for index, opinion in enumerate(opinions):
        check_type(f"opinions[{index}]", opinion, Opinion, "Use Opinion.from_dirichlet(dirichlet).")
    shared, free = opinions[0].belief, opinions[0].uncertainty.unsqueeze(-1)
    for other in opinions[1:]:
        u = other.uncertainty.unsqueeze(-1)
        shared, free = shared * other.belief + shared * u + free * other.belief, free * u
    return (1 - shared.sum(-1) - free.squeeze(-1)).clamp(0, 1)


def dirichlet_entropy(dirichlet: DirichletBelief) -> Float[Tensor, "*batch"]:
    """Differential entropy in nats; 0 for the uniform Dirichlet(1, 1), unbounded below."""
    check_type("dirichlet", dirichlet, DirichletBelief, "Use DirichletBelief.from_evidence(evidence).")
    entropy: Tensor = dirichlet.to_pyro().entropy()
    return entropy
