"""What chapter 5 compares with: the chain spelt out in rationals, and calls into bogc."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product
from math import erf, inf, isnan, sqrt
from typing import Any

import torch
from torch import Tensor

from bogc.belief import DimensionsFrame, Opinion, PseudoCount
from bogc.calibration import (
    CalibratedUpdate,
    Conservatism,
    MatchPlainSum,
    Pipeline,
    PrecisionWeights,
    calibrate,
    calibrate_block,
)
from bogc.combination import reduced
from bogc.gradients import GradientMoments
from bogc.posterior import (
    BlockPrior,
    FixedPrior,
    GradientPosterior,
    PriorPolicy,
    normal_posterior,
)
from theory.support.training import Trained, learned

Pair = tuple[Any, Any]
PLUS, MINUS, EITHER = 1, 2, 3  # subsets of the sign frame as bits
CHANCES = (Fraction(0), Fraction(1, 3), Fraction(1))  # posterior probabilities of g > 0
BELIEFS = (Fraction(1, 7), Fraction(3, 5), Fraction(9, 10))
POSITIVE = (Fraction(2, 3), Fraction(1, 9), Fraction(4, 5))
MEANS = (Fraction(3, 2), Fraction(-7, 5), Fraction(4, 3))
PRIOR = 0.7
TABLE = ([[0.4, -1.1], [1.3, 0.8]], [[0.3, 0.2], [0.9, 0.1]])  # means and noises, [M][D]


def gap(found: Iterable[Any], expected: Iterable[Any]) -> float:
    """Largest difference of two lists of numbers, infinite for NaN; exact where both are rational."""
    exact = (int, Fraction)
    differences = [
        float(abs(a - b)) if isinstance(a, exact) and isinstance(b, exact) else abs(float(a) - float(b))
        for a, b in zip(found, expected, strict=True)
    ]
    return max(inf if isnan(d) else d for d in differences)


def outside(value: Any, bounds: Pair) -> Any:
    """How far ``value`` is outside ``bounds``, 0 inside."""
    return max(bounds[0] - value, value - bounds[1], 0)


def split(beliefs: Sequence[Any], positive: Sequence[Any]) -> list[Pair]:
    """Opinions (b+, b-): the sign frame splits belief by the posterior probability of g > 0."""
    return [(b * p, b * (1 - p)) for b, p in zip(beliefs, positive, strict=True)]


OPINIONS = split(BELIEFS, POSITIVE)


def fuse(opinions: Sequence[Pair]) -> tuple[Any, Any, Any, Any]:
    """Dempster's full rule on {g > 0, g < 0} by enumeration: (b+, b-, u, C) of opinions (b+, b-)."""
    mass: dict[int, Any] = dict.fromkeys(range(4), 0)
    for choice in product((PLUS, MINUS, EITHER), repeat=len(opinions)):
        weight, subset = 1, EITHER
        for chosen, (plus, minus) in zip(choice, opinions, strict=True):
            weight = weight * {PLUS: plus, MINUS: minus, EITHER: 1 - plus - minus}[chosen]
            subset &= chosen
        mass[subset] += weight
    rest = mass[PLUS] + mass[MINUS] + mass[EITHER]
    return mass[PLUS] / rest, mass[MINUS] / rest, mass[EITHER] / rest, mass[0]


def kappa(beliefs: Sequence[Any], positive: Sequence[Any]) -> Any:
    """M (1 - u) by enumeration."""
    return len(beliefs) * (1 - fuse(split(beliefs, positive))[2])


def all_kappas(beliefs: Sequence[Any]) -> list[Any]:
    """M (1 - u) of all splits into signs by CHANCES."""
    return [kappa(beliefs, positive) for positive in product(CHANCES, repeat=len(beliefs))]


def lean(opinions: Sequence[Pair]) -> Any:
    """M |b+ - b-| by enumeration."""
    plus, minus, _, _ = fuse(opinions)
    return len(opinions) * abs(plus - minus)


def by_hand(beliefs: Sequence[Any], positive: Sequence[Any]) -> list[Any]:
    """Coefficients of the default update: conservatism, relative belief and shrinkage, each spelt out."""
    return [kappa(beliefs, positive) * (b / sum(beliefs)) * b for b in beliefs]


def weighted(coefficients: Sequence[Any], means: Sequence[Any]) -> Any:
    """Sum of coefficients times means."""
    return sum(c * m for c, m in zip(coefficients, means, strict=True))


def by_belief(beliefs: Sequence[Any]) -> Iterable[Pair]:
    """Pairs (belief, coefficient by hand) of each source, over all splits into signs by CHANCES."""
    for positive in product(CHANCES, repeat=len(beliefs)):
        yield from zip(beliefs, by_hand(beliefs, positive), strict=True)


def belief(noise: float, prior: float = PRIOR) -> float:
    """1 - v / tau^2 by adding precisions."""
    return 1 - 1 / (1 / prior + 1 / noise) / prior


def from_noise(means: Sequence[float], noises: Sequence[float], priors: Sequence[float]) -> list[float]:
    """Coefficients of the default update in one dimension from batch means, noises and prior variances."""
    precisions = [1 / prior + 1 / noise for prior, noise in zip(priors, noises, strict=True)]
    posterior_means = [m / (n * p) for m, n, p in zip(means, noises, precisions, strict=True)]
    positive = [(1 + erf(m * sqrt(p / 2))) / 2 for m, p in zip(posterior_means, precisions, strict=True)]
    return by_hand([belief(n, prior) for n, prior in zip(noises, priors, strict=True)], positive)


def double(values: Any) -> Tensor:
    """Tensor in float64."""
    return torch.tensor(values, dtype=torch.float64)


def moments(means: Sequence[float], noises: Sequence[float]) -> GradientMoments:
    """Moments [D] of a batch of 10 samples whose mean has these variances."""
    return GradientMoments.from_variance(double(means), 10 * double(noises), count=10, degrees_of_freedom=9)


def posterior(mean: float, variance: float) -> GradientPosterior:
    """Posterior [1]."""
    return GradientPosterior(double([mean]), double([variance]))


def bogc_chain(means: Any, noises: Any, prior: PriorPolicy | None = None, **choices: Any) -> Tensor:
    """Direction of bogc's whole chain on means and noises [M][D]; of posterior means, unless chosen."""
    sources = {str(m): moments(*pair) for m, pair in enumerate(zip(means, noises, strict=True))}
    priors = {name: learned(prior or FixedPrior(PRIOR), found) for name, found in sources.items()}
    pipeline = Pipeline(**{"aggregated": "posterior-mean", **choices})
    return calibrate_block(sources, priors, pipeline).update.direction


def bogc_update(means: Sequence[Any], opinions: Sequence[Pair], **choices: Any) -> CalibratedUpdate:
    """Call bogc's calibrate in one dimension with these opinions (b+, b-)."""
    pairs = [(float(plus), float(minus)) for plus, minus in opinions]
    half = double([0.5, 0.5])
    sources = [Opinion(double([[p, m]]), double([1 - p - m]), half) for p, m in pairs]
    posteriors = [posterior(float(mean), 1.0) for mean in means]
    return calibrate(posteriors, sources, reduced.combine(sources), **choices)


def bogc_kappa(opinions: Sequence[Pair], conservatism: Conservatism) -> float:
    """Conservatism that calibrate reports."""
    return bogc_update([1] * len(opinions), opinions, conservatism=conservatism).conservatism.item()


def bogc_numbers(means: Sequence[Any], opinions: Sequence[Pair]) -> list[float]:
    """Direction, conservatism and weights of calibrate."""
    found = bogc_update(means, opinions)
    return [found.direction.item(), found.conservatism.item(), *found.weights[:, 0].tolist()]


def bogc_coefficients(beliefs: Sequence[float]) -> list[float]:
    """What calibrate multiplies each batch mean by, for opinions (b, 0): one source speaks at a time."""
    opinions = [(b, 0.0) for b in beliefs]
    means = [[b if m == n else 0.0 for n, b in enumerate(beliefs)] for m in range(len(beliefs))]
    return [bogc_update(row, opinions).direction.item() for row in means]


def bogc_responses(sizes: Sequence[Any], opinions: Sequence[Pair]) -> list[float]:
    """Direction of calibrate when all posterior means but one are zero, that one being of its size."""
    rows = [[size if m == n else 0 for n in range(len(sizes))] for m, size in enumerate(sizes)]
    return [bogc_update(row, opinions).direction.item() for row in rows]


def bogc_faint(belief: float, mean: float) -> float:
    """Update of one source of this belief, in one dimension."""
    return bogc_update([belief * mean], [(belief, 0)]).direction.item()


def bogc_precision_weights(variances: Sequence[float]) -> list[float]:
    """PrecisionWeights of posteriors with these variances."""
    column = double([[float(v)] for v in variances])
    return PrecisionWeights()(torch.zeros_like(column), GradientPosterior(torch.zeros_like(column), column))[
        :, 0
    ].tolist()


def bogc_certain_dimensions(means: Any, noises: Any) -> Tensor:
    """Run the chain in the frame of dimensions, the noises a billionth of these."""
    tiny = [[1e-9 * n for n in line] for line in noises]
    return bogc_chain(means, tiny, FixedPrior(1.0), evidence=PseudoCount(frame=DimensionsFrame()))


def bogc_rescaled(scales: Sequence[float], reverse: bool = False) -> Tensor:
    """Run the chain with a BlockPrior on TABLE, loss m times s_m; optionally turned round and back."""
    means = [[s * m for m in line] for s, line in zip(scales, TABLE[0], strict=True)]
    noises = [[s * s * n for n in line] for s, line in zip(scales, TABLE[1], strict=True)]
    if reverse:
        means, noises = ([line[::-1] for line in lines[::-1]] for lines in (means, noises))
    found = bogc_chain(means, noises, BlockPrior())
    return found.flip(0) if reverse else found


def columns() -> list[Pair]:
    """(means, noises) of both sources in each dimension of TABLE."""
    return [tuple([line[d] for line in part] for part in TABLE) for d in range(2)]


def pooled_priors() -> list[float]:
    """tau^2 of each source of TABLE: mean square of its means less its mean noise."""
    return [sum(m * m - n for m, n in zip(*lines, strict=True)) / 2 for lines in zip(*TABLE, strict=True)]


def bogc_shrunk_by_itself(mean: Any, noise: Any) -> float:
    """Posterior mean under a scale learnt from the draw itself, which bogc's training never does."""
    observed = moments([float(mean)], [float(noise)])
    return normal_posterior(observed, learned(BlockPrior(), observed)).loc.item()


def bogc_own_draw(step: float) -> tuple[list[float], list[tuple[float, ...]]]:
    """Slope of the belief in each of three dimensions by that dimension's own draw, and what it should be.

    Central differences of the calibrator at the fifth step, everything before it held; and the formula's
    arguments from what the calibrator reports.
    """
    history = [[1.3, -0.4, 2.2], [0.7, 1.9, -0.8], [1.1, 0.6, 2.4], [0.2, -0.5, 1.4], [0.9, 0.3, 1.0]]

    def last(values: Sequence[float]) -> tuple[Tensor, float, Tensor]:
        layer = Trained(3)
        for line in history[:-1]:
            layer.step([double(line)])
        # T and its level as they are before the step
        mean, fast = (float(layer.table[name]) for name in ("squares mean", "fast"))
        level = fast / (1 - 0.8**3) * (1 - 0.8) / (mean / (1 - 0.95**3) * (1 - 0.95))
        block = layer.step([double(values)])
        assert block is not None
        return block.opinions["fusion"].belief.sum(-1), level, block.moments["fusion"].noise

    belief_now, level, noise = last(history[-1])
    slopes, arguments = [], []
    for d in range(3):
        ends = [
            last([x + sign * step * (k == d) for k, x in enumerate(history[-1])])[0][d] for sign in (1, -1)
        ]
        slopes.append(float(ends[0] - ends[1]) / (2 * step))
        moved = history[-1][d] - history[-2][d]
        arguments.append(
            (float(belief_now[d]), level * moved, float(noise[d]), (1 - 0.95**4) / (1 - 0.95), 10.0)
        )
    return slopes, arguments


def bogc_matched(direction: Sequence[float], plain: Sequence[float]) -> Tensor:
    """MatchPlainSum on two blocks, of which the first has one dimension."""
    ours, theirs = ({"a": v[:1], "b": v[1:]} for v in (double(direction), double(plain)))
    return torch.cat(list(MatchPlainSum()(ours, theirs).values()))
