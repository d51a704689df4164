"""The default calibration of one block in plain Python: loops over dimensions and the whole history.

It follows the formulas as they are first written (discounted sums over all past steps, precisions that add,
evidence that multiplies) where the library keeps running sums and shrinkage factors: nothing is shared.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, fmean

PHI = NormalDist().cdf
TINY = 1e-30


@dataclass(frozen=True)
class Constants:
    """The library's defaults."""

    decay: float = 0.95
    fast: float = 0.8
    moderation: float = 10.0
    samples: int | None = None
    weight: float = 2.0


@dataclass
class History:
    """All gradients of one source in one block with their N, and what each step said of noise and signal."""

    gradients: list[list[float]] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    levels: list[float] = field(default_factory=list)
    products: list[float] = field(default_factory=list)
    root: float = 0.0


def discounted(decay: float, newest_last: Sequence[float]) -> float:
    """sum of decay^age times value, the newest of age 0."""
    return sum(decay**age * value for age, value in enumerate(reversed(newest_last)))


def squared_gaps(history: History) -> list[list[float]]:
    """h (g_t - g_{t-1})^2 of each step but the first, with 1/h = 1/N_t + 1/N_{t-1}."""
    pairs = zip(history.gradients, history.gradients[1:], history.counts, history.counts[1:], strict=False)
    return [
        [(b - a) ** 2 / (1 / m + 1 / n) for a, b in zip(old, new, strict=True)] for old, new, m, n in pairs
    ]


def look(
    history: History, gradient: list[float], count: int, own: Constants
) -> tuple[list[float], list[float]]:
    """Take a gradient in; return its noise v and its prior variance tau^2 in each dimension."""
    before = [fmean(row) for row in squared_gaps(history)]
    seen = len(history.gradients)
    history.gradients.append(gradient)
    history.counts.append(count)
    if not before:  # a first or second gradient: nothing is known of the steps before
        before = [0.0]
    ones = [1.0] * len(before)
    variance = discounted(own.decay, before) / discounted(own.decay, ones)
    recent = discounted(own.fast, before) / discounted(own.fast, ones)
    level = (recent + TINY) / (variance + TINY)

    gaps = squared_gaps(history)
    observations = discounted(own.decay, [1.0] * seen)
    noise = []
    for dimension in range(len(gradient)):
        total = discounted(own.decay, [row[dimension] for row in gaps]) * level
        moderated = total + max(own.moderation * variance * level, TINY)
        noise.append(moderated / (observations + own.moderation) / count)

    mean_product = discounted(own.decay, history.products) / max(
        discounted(own.decay, [1.0] * max(len(history.products), 1)), TINY
    )
    root = max(history.root, TINY)
    signal = mean_product + (history.root / own.samples if own.samples else 0.0)
    floor = 0.01 if own.samples else 0.03
    signal = min(max(signal, root * floor / count), root * 1e6 / count)
    prior = [signal * math.sqrt(level * count) * math.sqrt(v) for v in noise]

    if seen >= 2:
        unit = math.sqrt(count / level)
        pairs = zip(gradient, history.gradients[-2], noise, strict=True)
        history.products.append(fmean(g * old / math.sqrt(v) for g, old, v in pairs) / unit)
        history.root = fmean(math.sqrt(v) for v in noise) * unit
    return noise, prior


def believe(gradient: float, noise: float, prior: float, weight: float) -> tuple[float, float]:
    """Evidence for g > 0 and for g < 0 of one source in one dimension."""
    precision = 1 / prior + 1 / noise
    mean = gradient / noise / precision
    evidence = weight * prior / noise  # W (Lambda / Lambda_0 - 1)
    return evidence * PHI(mean * math.sqrt(precision)), evidence * PHI(-mean * math.sqrt(precision))


def update(
    histories: dict[str, History],
    gradients: Mapping[str, list[float]],
    counts: Mapping[str, int],
    own: Constants,
) -> list[float]:
    """What a block gets, at the length of the plain sum."""
    known = [len(histories.setdefault(source, History()).gradients) for source in gradients]
    looks = {s: look(histories[s], g, counts[s], own) for s, g in gradients.items()}
    plain = [sum(column) for column in zip(*gradients.values(), strict=True)]
    if min(known) < 3:  # one difference, one product, and only then a prior
        return plain
    direction = []
    for d, column in enumerate(zip(*gradients.values(), strict=True)):
        pairs = [
            believe(g, looks[s][0][d], looks[s][1][d], own.weight) for s, g in zip(looks, column, strict=True)
        ]
        beliefs = [sum(pair) / (sum(pair) + own.weight) for pair in pairs]
        fused = [
            own.weight * (math.prod(1 + e / own.weight for e in side) - 1)
            for side in zip(*pairs, strict=True)
        ]
        certainty = sum(fused) / (sum(fused) + own.weight)
        mixed = sum(b * g for b, g in zip(beliefs, column, strict=True)) / sum(beliefs)
        direction.append(len(pairs) * certainty * mixed)
    length = math.hypot(*plain) / math.hypot(*direction)
    return [length * value for value in direction]
