"""Posteriors and opinions of fresh batches, held against the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bogc.belief import DirichletBelief, Opinion, PseudoCount
from bogc.gradients import GradientMoments
from bogc.posterior import GradientPosterior, GradientPrior, NormalInverseGammaRoute, PriorPolicy
from paper_repro.gradient_uncertainty.measures import (
    LEVELS,
    calibration_error,
    central_coverage,
    kept_mean,
    known_mean,
    quantile_of,
    rank_correlation,
)
from paper_repro.gradient_uncertainty.table import PRIORS, ROUTES, STUDENT, TRUE_NOISE, TRUE_SCALE
from paper_repro.gradient_uncertainty.truth import Truth
from paper_repro.gradient_uncertainty.watching import Choice, State, infer

FEWEST: Final = 8  # living dimensions of a pair that counts
_EVIDENCE: Final = PseudoCount()


@dataclass(frozen=True)
class KnownScale(PriorPolicy):
    """A zero-centred prior with the true mean square of each pair, [P, 1]."""

    variance: Tensor

    def propose(self, moments: GradientMoments, state: State) -> tuple[GradientPrior, State]:
        """See the base class."""
        return GradientPrior.centred(self.variance), state


@dataclass(frozen=True, eq=False)
class Judged:
    """What one choice says of B fresh batches, and what is true, for P pairs and D dimensions.

    Attributes:
        choice: Names of estimator, prior and route.
        observed: Moments, [B, P, D].
        prior: Before the batches.
        posterior: After them, [B, P, D].
        opinion: On the sign, [B, P, D, 2].
        truth: Of the pairs.
    """

    choice: Choice
    observed: GradientMoments
    prior: GradientPrior
    posterior: GradientPosterior
    opinion: Opinion
    truth: Truth

    @property
    def name(self) -> str:
        """Of the choice."""
        return " | ".join(self.choice)

    @property
    def kept(self) -> Bool[Tensor, "B P D"]:
        """Living dimensions of pairs that have enough of them."""
        alive = self.truth.alive & (self.truth.alive.sum(-1, keepdim=True) >= FEWEST)
        return alive.expand_as(self.posterior.loc)


def choices(estimator: str) -> Iterator[Choice]:
    """All priors and routes of an estimator; known noise has no past, so it meets the block prior afresh."""
    priors = ("block", TRUE_SCALE) if estimator == TRUE_NOISE else (*PRIORS, TRUE_SCALE)
    for prior in priors:
        for route in ROUTES:
            yield estimator, prior, route


def judge(choice: Choice, observed: GradientMoments, state: State, truth: Truth) -> Judged:
    """Run the chain of :func:`bogc.calibration.calibrate_block` for all pairs and batches at once."""
    policy = KnownScale(truth.scale) if choice[1] == TRUE_SCALE else PRIORS[choice[1]]
    prior, posterior = infer(policy, choice[2], observed, state)
    opinion = Opinion.from_dirichlet(DirichletBelief.from_evidence(_EVIDENCE(posterior, prior)))
    return Judged(choice, observed, prior, posterior, opinion, truth)


def coverage(level: float) -> str:
    """Name of a coverage."""
    return f"coverage {level}"


def coverage_scores(judged: Judged) -> dict[str, float]:
    """Share of the truth within central intervals, mean over pairs; also of the exact Student-t marginal."""
    error = judged.truth.gradient - judged.posterior.loc
    scores = {
        f"{coverage(level)} | {judged.name}": known_mean(
            central_coverage(error, judged.posterior.scale, judged.kept, quantile_of(level))
        )
        for level in LEVELS
    }
    if judged.choice[2] != "nig":
        return scores
    marginal = NormalInverseGammaRoute().marginal(judged.observed.floored(), judged.prior)
    law = " | ".join((*judged.choice[:2], STUDENT))
    df = round(float(marginal.df.flatten()[0]), 6)  # the same everywhere
    return scores | {
        f"{coverage(level)} | {law}": known_mean(
            central_coverage(
                judged.truth.gradient - marginal.loc, marginal.scale, judged.kept, quantile_of(level, df)
            )
        )
        for level in LEVELS
    }


def correlation_scores(judged: Judged) -> dict[str, float]:
    """Rank correlation of u and of the posterior's width with errors.

    Over dimensions: in each batch, then a mean over batches and pairs. "all": over dimensions and batches
    of a pair together.
    """
    truth, posterior, kept = judged.truth, judged.posterior, judged.kept
    u, scale = judged.opinion.uncertainty, posterior.scale.expand_as(posterior.loc)
    error, batch_error = ((truth.gradient - v).abs() for v in (posterior.loc, judged.observed.mean))
    together = [values.movedim(0, 1).flatten(1) for values in (u, scale, error, kept)]
    found = {
        "u ~ error": rank_correlation(u, error, kept),
        "sd ~ error": rank_correlation(scale, error, kept),
        "u ~ batch error": rank_correlation(u, batch_error, kept),
        "u ~ error, all": rank_correlation(together[0], together[2], together[3]),
        "sd ~ error, all": rank_correlation(together[1], together[2], together[3]),
    }
    return {f"{key} | {judged.name}": known_mean(values) for key, values in found.items()}


def sign_scores(judged: Judged) -> dict[str, float]:
    """Expected calibration error of the probability that the true gradient is positive."""
    kept = judged.kept
    positive = (judged.truth.gradient > 0).expand_as(judged.posterior.loc)[kept]
    posterior = torch.special.ndtr(judged.posterior.loc / judged.posterior.scale)[kept]
    opinion = judged.opinion.projected_probability[..., 0][kept]
    return {
        f"sign error, opinion | {judged.name}": calibration_error(opinion, positive),
        f"sign error, posterior | {judged.name}": calibration_error(posterior, positive),
    }


def layer_scores(judged: Judged) -> dict[str, float]:
    """Does mean u order layers and losses as the true noise does? Correlation over pairs, and mean gap."""
    said = kept_mean(judged.opinion.uncertainty, judged.kept).mean(0)
    true = judged.truth.uncertainty
    known = ~said.isnan()
    return {
        f"u ~ true u, layers | {judged.name}": float(rank_correlation(said, true, known)),
        f"u - true u, layers | {judged.name}": known_mean(said - true),
    }


def noise_scores(estimator: str, observed: GradientMoments, truth: Truth) -> dict[str, float]:
    """Estimated over true variance of a batch's gradient: quantiles over all, and layers.

    ``pooled`` is the ratio of the sums over a layer, what a block prior sees: its median, least and largest
    over the pairs.
    """
    ratio = observed.noise / truth.noise
    scores: dict[str, float] = {}
    for label, kept in (("", truth.alive), (", sparse", truth.sparse)):
        scores |= _quantiles(f"noise ratio{label}", estimator, ratio[:, kept])
    estimated, true = (kept_mean(v, truth.alive) for v in (observed.noise.mean(0), truth.noise))
    return scores | _quantiles("pooled noise ratio", estimator, (estimated / true)[truth.alive.any(-1)])


def _quantiles(name: str, estimator: str, values: Float[Tensor, "*any"]) -> dict[str, float]:
    if not values.numel():
        return {}
    levels = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    found = values.flatten().double().quantile(levels).tolist()
    return {
        f"{name}, {part} | {estimator}": value
        for part, value in zip(("low", "median", "high"), found, strict=True)
    }


def all_scores(judged: Judged) -> Mapping[str, float]:
    """Everything that a posterior and its opinion are judged by."""
    return coverage_scores(judged) | correlation_scores(judged) | sign_scores(judged) | layer_scores(judged)
