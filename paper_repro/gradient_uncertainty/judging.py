"""Posteriors and opinions of fresh batches, held against the truth."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from bogc.belief import DirichletBelief, Opinion, PseudoCount
from bogc.gradients import GradientMoments
from bogc.posterior import FixedPrior, GradientPosterior, GradientPrior, NormalInverseGammaRoute
from paper_repro.gradient_uncertainty.measures import (
    LEVELS,
    Array,
    brier,
    calibration_error,
    central_coverage,
    rank_correlation,
)
from paper_repro.gradient_uncertainty.table import PRIORS, ROUTES, STUDENT, TRUE_NOISE, TRUE_SCALE
from paper_repro.gradient_uncertainty.truth import Truth
from paper_repro.gradient_uncertainty.watching import Choice, Pair, State, infer

Readings = Mapping[str, Mapping[Pair, GradientMoments]]
"""By estimator and pair, moments [B, D] of B fresh batches."""

FEWEST: Final = 8  # dimensions alive, for a correlation over them
_EVIDENCE: Final = PseudoCount()


@dataclass(frozen=True, eq=False)
class Judged:
    """What one choice says about one pair, and what is true, at D living dimensions of B batches.

    Attributes:
        observed: Moments [B, all dimensions].
        prior: Before the batches.
        posterior: After them.
        opinion: On the sign, [B, all dimensions].
        truth: Of the pair.
    """

    observed: GradientMoments
    prior: GradientPrior
    posterior: GradientPosterior
    opinion: Opinion
    truth: Truth

    def alive(self, values: Tensor) -> Array:
        """Keep the living dimensions of [B, all]."""
        kept: Array = values[:, self.truth.alive].double().numpy()
        return kept

    @property
    def error(self) -> Array:
        """Truth minus posterior mean, [B, D]."""
        return self.alive(self.truth.gradient - self.posterior.loc)


def choices(estimator: str) -> Iterator[Choice]:
    """All priors and routes of an estimator; known noise has no past, so it meets the block prior afresh."""
    priors = ("block", TRUE_SCALE) if estimator == TRUE_NOISE else (*PRIORS, TRUE_SCALE)
    for prior in priors:
        for route in ROUTES:
            yield estimator, prior, route


def judge(
    choice: Choice,
    readings: Readings,
    states: Mapping[Choice, Mapping[Pair, State]],
    truths: Mapping[Pair, Truth],
) -> dict[Pair, Judged]:
    """Run the chain of :func:`bogc.calibration.calibrate_block` for every pair, all batches at once."""
    estimator, prior_name, route = choice
    found = {}
    for pair, moments in readings[estimator].items():
        truth = truths[pair]
        policy = FixedPrior(truth.scale) if prior_name == TRUE_SCALE else PRIORS[prior_name]
        prior, posterior = infer(policy, route, moments, states.get(choice, {}).get(pair, {}))
        opinion = Opinion.from_dirichlet(DirichletBelief.from_evidence(_EVIDENCE(posterior, prior)))
        found[pair] = Judged(moments, prior, posterior, opinion, truth)
    return found


def posterior_scores(choice: Choice, judged: Mapping[Pair, Judged]) -> dict[str, float]:
    """Coverage, correlations and calibration of the sign, each a mean over the pairs."""
    name = " | ".join(choice)
    rows = [_pair_scores(each) for each in judged.values() if int(each.truth.alive.sum()) >= FEWEST]
    scores = {f"{key} | {name}": _mean([row[key] for row in rows]) for key in rows[0]}
    if choice[2] == "normal-inverse-gamma":
        student = [_student_coverage(each) for each in judged.values()]
        law = " | ".join((*choice[:2], STUDENT))
        scores |= {f"{key} | {law}": _mean([row[key] for row in student]) for key in student[0]}
    return scores


def coverage(level: float) -> str:
    """Name of a coverage."""
    return f"coverage {level}"


def _pair_scores(each: Judged) -> dict[str, float]:
    error, scale = each.error, each.alive(each.posterior.scale.expand_as(each.posterior.loc))
    u = each.alive(each.opinion.uncertainty)
    size, batch_error = abs(error), abs(each.alive(each.truth.gradient - each.observed.mean))
    scores = {coverage(level): central_coverage(error, scale, level) for level in LEVELS}
    scores |= {
        "u ~ posterior error, dimensions": rank_correlation(u, size),
        "u ~ posterior error, all": rank_correlation(u.ravel(), size.ravel()),
        "u ~ batch error, dimensions": rank_correlation(u, batch_error),
        "sd ~ posterior error, dimensions": rank_correlation(scale, size),
        "sd ~ posterior error, all": rank_correlation(scale.ravel(), size.ravel()),
        "sd ~ batch error, dimensions": rank_correlation(scale, batch_error),
        "mean u": float(u.mean()),
    }
    return scores | _sign_scores(each)


def _sign_scores(each: Judged) -> dict[str, float]:
    positive = each.alive((each.truth.gradient > 0).expand_as(each.posterior.loc)) > 0
    opinion = each.alive(each.opinion.projected_probability[..., 0])
    posterior = each.alive(torch.special.ndtr(each.posterior.loc / each.posterior.scale))
    return {
        "sign error, opinion": calibration_error(opinion, positive),
        "sign error, posterior": calibration_error(posterior, positive),
        "sign brier, opinion": brier(opinion, positive),
        "sign brier, posterior": brier(posterior, positive),
    }


def _student_coverage(each: Judged) -> dict[str, float]:
    marginal = NormalInverseGammaRoute().marginal(each.observed.floored(), each.prior)
    error = each.alive(each.truth.gradient - marginal.loc)
    df = each.alive(marginal.df.expand_as(marginal.loc))
    scale = each.alive(marginal.scale.expand_as(marginal.loc))
    return {coverage(level): central_coverage(error, scale, level, df) for level in LEVELS}


def layer_scores(choice: Choice, judged: Mapping[Pair, Judged]) -> dict[str, float]:
    """Does mean u order layers and losses as the true noise does? Correlation over pairs, and mean gap."""
    said = [float(each.opinion.uncertainty[:, each.truth.alive].mean()) for each in _living(judged)]
    true = [each.truth.uncertainty for each in _living(judged)]
    name = " | ".join(choice)
    gaps = [a - b for a, b in zip(said, true, strict=True)]
    return {
        f"u ~ true u, layers | {name}": rank_correlation(*(_row(values) for values in (said, true))),
        f"u - true u, layers | {name}": _mean(gaps),
    }


def noise_scores(estimator: str, readings: Mapping[Pair, GradientMoments], truths: Mapping[Pair, Truth]) -> dict[str, float]:
    """Estimated over true variance of a batch's gradient: quantiles over dimensions and batches, and layers.

    ``pooled`` is the ratio of the sums over a layer, what a block prior sees: its geometric mean, least and
    largest over the pairs.
    """
    ratios: dict[str, list[Tensor]] = {"": [], ", sparse": []}
    pooled = []
    for pair, moments in readings.items():
        truth = truths[pair]
        for label, kept in (("", truth.alive), (", sparse", truth.sparse)):
            if bool(kept.any()):
                ratios[label].append((moments.noise[:, kept] / truth.noise[kept]).flatten())
        if bool(truth.alive.any()):
            pooled.append(float(moments.noise[:, truth.alive].mean() / truth.noise[truth.alive].mean()))
    scores = {}
    for label, parts in ratios.items():
        if parts:
            quantiles = torch.cat(parts).double().quantile(torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
            for part, value in zip(("low", "median", "high"), quantiles.tolist(), strict=True):
                scores[f"noise ratio{label}, {part} | {estimator}"] = value
    scores[f"noise ratio, pooled | {estimator}"] = math.exp(_mean([math.log(max(p, 1e-30)) for p in pooled]))
    scores[f"noise ratio, pooled least | {estimator}"] = min(pooled)
    scores[f"noise ratio, pooled largest | {estimator}"] = max(pooled)
    return scores


def _living(judged: Mapping[Pair, Judged]) -> list[Judged]:
    return [each for each in judged.values() if bool(each.truth.alive.any())]


def _row(values: Sequence[float]) -> Array:
    row: Array = torch.tensor(values, dtype=torch.float64).numpy()
    return row


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")
