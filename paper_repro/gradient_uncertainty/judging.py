"""What a balancer says of one layer, held against the truth."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from bogc.calibration import CalibratedBlock
from bogc.combination import RULES
from paper_repro.gradient_uncertainty.truth import Truth, Truths

LEVELS: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
FUSED_BY: Final = ("cautious", "cumulative", "dempster")
Scores = dict[str, float]


def judge(blocks: Mapping[str, CalibratedBlock], truths: Truths, fused: bool) -> list[Scores]:
    """Scores of every loss in every layer, and of every layer.

    Args:
        blocks: As a balancer's StepInfo shows them.
        truths: At the parameters of that step.
        fused: Whether to judge the opinions of all losses together too.
    """
    found: list[Scores] = []
    for layer, block in blocks.items():
        for source in block.moments:
            if (source, layer) in truths.pairs:
                found.append(judge_source(block, source, truths.pairs[source, layer]))
        if layer in truths.sums:
            found.append(update_errors(block, truths.sums[layer]))
        if fused and layer in truths.correlations:
            found.append({"noise correlation": truths.correlations[layer]})
            found.append(judge_fused(block, truths.sums[layer]))
            found.append(rules_on_truth([truths.pairs[s, layer] for s in block.moments], truths.sums[layer]))
    return found


def judge_source(block: CalibratedBlock, source: str, truth: Truth) -> Scores:
    """Coverage, u, noise, and the rank correlation of u with the error of the batch gradient."""
    moments, posterior, prior = block.moments[source], block.posteriors[source], block.priors[source]
    alive, u = truth.alive, block.opinions[source].uncertainty
    distance = (truth.gradient - posterior.loc).abs() / posterior.variance.sqrt()
    noise, scale = moments.noise.mean(), prior.variance.expand_as(moments.mean).mean()
    known = truth.uncertainties()
    mean = float(u[alive].mean())
    return {
        **{f"coverage {level}": _share(distance[alive] <= half_width(level)) for level in LEVELS},
        "u": mean,
        "u, ratio": float(noise / (noise + scale)),
        **{f"true u, {name}": value for name, value in known.items()},
        "u, distance": abs(mean - known["root"]),
        "log noise ratio": float((noise / truth.noise.mean()).log()),
        "u ~ error": rank_correlation(u[alive], (moments.mean - truth.gradient)[alive].square()),
    }


def update_errors(block: CalibratedBlock, truth: Truth) -> Scores:
    """Squared error at the plain sum's length over the plain sum's: of the update, of the posterior means."""
    plain = torch.stack([moments.mean for moments in block.moments.values()]).sum(0)
    means = torch.stack([posterior.loc for posterior in block.posteriors.values()]).sum(0)
    known = (plain - truth.gradient).square().sum()
    scores = {}
    for name, values in (("update", block.update.direction), ("means", means)):
        at_length = values * (plain.norm() / values.norm())
        scores[f"error, {name}"] = float((at_length - truth.gradient).square().sum() / known)
    return scores | {f"log {name}": math.log(value) for name, value in scores.items()}


def judge_fused(block: CalibratedBlock, truth: Truth) -> Scores:
    """By rule: fused u beside the true u of the summed gradient, and how often its sign is right."""
    known, opinions = truth.uncertainties(), list(block.opinions.values())
    scores = {"fused true u": known["root"]}
    for name in FUSED_BY:
        opinion = RULES[name].fold(opinions)
        positive = opinion.projected_probability[..., 0][truth.alive]
        right = (positive > 0.5) == (truth.gradient[truth.alive] > 0)
        scores |= {
            f"fused u, {name}": float(opinion.uncertainty[truth.alive].mean()),
            f"sign stated, {name}": float(torch.maximum(positive, 1 - positive).mean()),
            f"sign right, {name}": _share(right),
        }
    return scores


def rules_on_truth(sources: Sequence[Truth], total: Truth) -> Scores:
    """True u of the summed gradient, and what each rule makes of the true u of its terms if they agree."""
    evidence = torch.stack([truth.signal / truth.noise.mean() for truth in sources])  # over W
    made = {"cautious": evidence.amax(), "cumulative": evidence.sum(), "dempster": (1 + evidence).prod() - 1}
    return {"sum's true u": total.uncertainties()["ratio"]} | {
        f"u from true u, {name}": float(1 / (1 + made[name])) for name in FUSED_BY
    }


def averages(scores: Sequence[Scores]) -> Scores:
    """Mean of each number over all that have it; of logarithms, the geometric mean."""
    found: dict[str, list[float]] = {}
    for each in scores:
        for name, value in each.items():
            if not math.isnan(value):  # a correlation of constants
                found.setdefault(name, []).append(value)
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return {
        name.removeprefix("log ") + (", geometric" if name.startswith("log ") else ""): (
            math.exp(value) if name.startswith("log ") else value
        )
        for name, value in means.items()
    }


@lru_cache(maxsize=100)
def half_width(level: float) -> float:
    """Of the central interval of a standard Normal that holds ``level``."""
    return float(stats.norm.ppf((1 + level) / 2))


def rank_correlation(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> float:
    """Spearman's correlation; NaN for fewer than 8 values, or equal ones."""
    if len(first) < 8:
        return float("nan")
    return float(stats.spearmanr(first.double().numpy(), second.double().numpy()).statistic)


def _share(held: Bool[Tensor, " n"]) -> float:
    return float(held.double().mean())
