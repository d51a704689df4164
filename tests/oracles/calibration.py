"""The whole chain of one block in plain Python: numbers, and a loop over dimensions.

It follows the formulas as they are first written (precisions add, evidence multiplies) where the library
uses equivalent ones (shrinkage factors, shares): nothing is shared between the two.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean, variance

PHI = NormalDist().cdf


@dataclass(frozen=True)
class Choices:
    """By the names of the registries; the defaults are the library's."""

    prior_weight: float = 2.0
    decay: float = 0.9
    floor: float = 1e-3
    frame: str = "sign"
    fold: str = "dempster"
    weights: str = "relative-belief"
    conservatism: str = "fused-certainty"
    aggregated: str = "batch-mean"


@dataclass(frozen=True)
class State:
    """Running sums of the empirical prior."""

    square: float = 0.0
    noise: float = 0.0
    weight: float = 0.0


@dataclass(frozen=True)
class Result:
    direction: list[float]
    weights: list[list[float]]
    conservatism: list[float]
    states: dict[str, State] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """What one source believes: mu, v and evidence per opinion (one a dimension, or one for the block).

    ``means`` is what is aggregated: mu, or the batch mean.
    """

    means: list[float]
    variances: list[float]
    evidence: list[list[float]]


def posterior(samples: Sequence[Sequence[float]], state: State, choices: Choices) -> tuple[Source, State]:
    """One source: samples [N][D], sigma^2 their unbiased variance, prior N(0, tau^2) for the block."""
    count = len(samples)
    columns = list(zip(*samples, strict=True))
    means = [fmean(column) for column in columns]
    scatters = [variance(column) * (count - 1) for column in columns]
    least = max(1e-6 * fmean(scatters), 1e-30)
    noises = [max(scatter, least) / (count - 1) / count for scatter in scatters]
    state = State(
        choices.decay * state.square + fmean([mean**2 for mean in means]),
        choices.decay * state.noise + fmean(scatters) / (count - 1) / count,
        choices.decay * state.weight + 1,
    )
    noise = state.noise / state.weight
    tau2 = max(state.square / state.weight - noise, choices.floor * noise, 1e-36)
    precisions = [1 / tau2 + 1 / n for n in noises]
    mu = [mean / n / precision for mean, n, precision in zip(means, noises, precisions, strict=True)]
    amounts = [choices.prior_weight * tau2 / n for n in noises]
    signs = [PHI(m * math.sqrt(precision)) for m, precision in zip(mu, precisions, strict=True)]
    evidence = {
        "sign": [[e * sign, e * (1 - sign)] for e, sign in zip(amounts, signs, strict=True)],
        "reliability": [[e, 0.0] for e in amounts],
        "dimensions": [amounts],
    }[choices.frame]
    aggregated = {"posterior-mean": mu, "batch-mean": means}[choices.aggregated]
    return Source(aggregated, [1 / precision for precision in precisions], evidence), state


def fuse(evidences: Sequence[Sequence[float]], choices: Choices) -> list[float]:
    """Evidence of one fused opinion."""
    columns = zip(*evidences, strict=True)
    if choices.fold == "cumulative":
        return [sum(column) for column in columns]
    weight = choices.prior_weight
    return [weight * (math.prod(1 + e / weight for e in column) - 1) for column in columns]


def shares(evidence: Sequence[float], choices: Choices) -> list[float]:
    """b = e / S."""
    return [e / (sum(evidence) + choices.prior_weight) for e in evidence]


def believed(source: Source, dimension: int, choices: Choices) -> float:
    """What a source believes about one dimension."""
    if choices.frame == "dimensions":
        return shares(source.evidence[0], choices)[dimension]
    return sum(shares(source.evidence[dimension], choices))


def weigh(sources: Sequence[Source], dimension: int, choices: Choices) -> list[float]:
    scores = {
        "relative-belief": [believed(source, dimension, choices) for source in sources],
        "equal": [1.0 for _ in sources],
        "precision": [1 / source.variances[dimension] for source in sources],
    }[choices.weights]
    return [score / sum(scores) for score in scores]


def conserve(sources: Sequence[Source], dimension: int, choices: Choices) -> float:
    index = 0 if choices.frame == "dimensions" else dimension
    belief = shares(fuse([source.evidence[index] for source in sources], choices), choices)
    return (
        len(sources)
        * {
            "fused-certainty": sum(belief),
            "fused-agreement": abs(belief[0] - belief[1]),
            "none": 1.0,
        }[choices.conservatism]
    )


def calibrate_block(
    samples: Mapping[str, Sequence[Sequence[float]]], states: Mapping[str, State], choices: Choices
) -> Result:
    """Calibrate samples [N][D] of each source: g_d = kappa_d sum_m w_md mu_md."""
    sources: dict[str, Source] = {}
    following = dict(states)
    for name, rows in samples.items():
        sources[name], following[name] = posterior(rows, states.get(name, State()), choices)
    all_sources = list(sources.values())
    dimensions = range(len(all_sources[0].means))
    weights = [weigh(all_sources, d, choices) for d in dimensions]
    kappa = [conserve(all_sources, d, choices) for d in dimensions]
    direction = [
        kappa[d] * sum(w * source.means[d] for w, source in zip(weights[d], all_sources, strict=True))
        for d in dimensions
    ]
    return Result(direction, [list(row) for row in zip(*weights, strict=True)], kappa, following)
