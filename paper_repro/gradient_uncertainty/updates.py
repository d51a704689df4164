"""Is the calibrated update closer to the truth than the plain sum? And the fused opinion on its sign."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from bogc.belief import Opinion
from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS, calibrate
from bogc.combination import FOLDS, reduced
from bogc.posterior import GradientPosterior
from paper_repro.gradient_uncertainty.judging import Judged
from paper_repro.gradient_uncertainty.measures import Array, brier, calibration_error
from paper_repro.gradient_uncertainty.watching import Choice, Pair

DEFAULTS: Final = ("relative-belief", "fused-certainty")
Layers = Mapping[str, Sequence[Judged]]
"""By layer, what several sources say about it."""


def shared_layers(judged: Mapping[Pair, Judged]) -> dict[str, list[Judged]]:
    """Layers that two or more sources reach, with a living dimension."""
    found: dict[str, list[Judged]] = {}
    for (block, _), each in judged.items():
        found.setdefault(block, []).append(each)
    return {
        block: group for block, group in found.items() if len(group) > 1 and bool(_alive(group).any())
    }


def update_scores(choice: Choice, layers: Layers, every: bool) -> dict[str, float]:
    """Squared error of updates over the plain sum's, geometric mean over layers; cosine gained.

    Args:
        choice: Estimator, prior, route.
        layers: As from :func:`shared_layers`.
        every: All weights and conservatisms, not only the defaults.
    """
    name = " | ".join(choice)
    plain = {block: _sum(group, "mean") for block, group in layers.items()}
    truth = {block: torch.stack([each.truth.gradient for each in group]).sum(0) for block, group in layers.items()}
    pairs = [(w, c) for w in WEIGHTS for c in CONSERVATISMS] if every else [DEFAULTS]
    scores = {}
    for weights, conservatism in pairs:
        made = {block: _update(group, weights, conservatism) for block, group in layers.items()}
        label = f"{name} | {weights}, {conservatism}"
        scores[f"cosine gained | {label}"] = _mean_of(
            [_cosine(made[b], truth[b]) - _cosine(plain[b], truth[b]) for b in layers]
        )
        for scaling in SCALINGS:
            scaled = _scaled(scaling, made, plain)
            ratios = [_error(scaled[b], truth[b]) / _error(plain[b], truth[b]) for b in layers]
            scores[f"squared error | {label}, {scaling}"] = _geometric(ratios)
    return scores


def reference_scores(layers: Layers) -> dict[str, float]:
    """The least squared error over the plain sum's that one known factor a layer could reach; its cosine."""
    plain = {block: _sum(group, "mean") for block, group in layers.items()}
    ratios, cosines = [], []
    for block, group in layers.items():
        truth = torch.stack([each.truth.gradient for each in group]).sum(0)
        factor = (plain[block] * truth).sum() / plain[block].square().sum()
        ratios.append(_error(factor * plain[block], truth) / _error(plain[block], truth))
        cosines.append(_cosine(plain[block], truth))
    return {"squared error | best factor": _geometric(ratios), "cosine | plain sum": _mean_of(cosines)}


def fused_sign_scores(choice: Choice, layers: Layers) -> dict[str, float]:
    """Calibration of the fused opinion on the sign of the summed gradient, and of the summed posteriors."""
    probabilities: dict[str, list[Tensor]] = {}
    happened: list[Tensor] = []
    for group in layers.values():
        alive = _alive(group)
        total = torch.stack([each.truth.gradient for each in group]).sum(0)
        happened.append((total > 0).expand_as(group[0].observed.mean)[:, alive].flatten())
        for rule, fold in FOLDS.items():
            fused = fold([each.opinion for each in group])
            probabilities.setdefault(rule, []).append(fused.projected_probability[:, alive, 0].flatten())
        loc = torch.stack([each.posterior.loc for each in group]).sum(0)
        variance = torch.stack([each.posterior.variance.expand_as(loc) for each in group]).sum(0)
        summed = torch.special.ndtr(loc / variance.sqrt())[:, alive].flatten()
        probabilities.setdefault("summed posteriors", []).append(summed)
    truth = torch.cat(happened).numpy()
    name = " | ".join(choice)
    scores = {}
    for rule, parts in probabilities.items():
        stated: Array = torch.cat(parts).double().numpy()
        scores[f"fused sign error, {rule} | {name}"] = calibration_error(stated, truth)
        scores[f"fused sign brier, {rule} | {name}"] = brier(stated, truth)
    return scores


def _alive(group: Sequence[Judged]) -> Tensor:
    return torch.stack([each.truth.alive for each in group]).all(0)


def _sum(group: Sequence[Judged], name: str) -> Tensor:
    return torch.stack([getattr(each.observed, name) for each in group]).sum(0)


def _update(group: Sequence[Judged], weights: str, conservatism: str) -> Tensor:
    """Directions [B, D]; the sign frame works dimension by dimension, so batches are laid end to end."""
    shape = group[0].posterior.loc.shape
    posteriors = [
        GradientPosterior.unchecked(
            loc=each.posterior.loc.flatten(), variance=each.posterior.variance.expand(shape).flatten()
        )
        for each in group
    ]
    opinions = [
        Opinion.unchecked(
            belief=each.opinion.belief.reshape(-1, 2),
            uncertainty=each.opinion.uncertainty.flatten(),
            base_rate=each.opinion.base_rate,
        )
        for each in group
    ]
    update = calibrate(
        posteriors,
        opinions,
        reduced.fold(opinions),
        weights=WEIGHTS[weights](),
        conservatism=CONSERVATISMS[conservatism](),
    )
    return update.direction.view(shape)


def _scaled(name: str, made: Mapping[str, Tensor], plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scale batch by batch, as in training; norms are those of the watched dimensions."""
    batches = len(next(iter(made.values())))
    rows = [
        SCALINGS[name]()({k: v[i] for k, v in made.items()}, {k: v[i] for k, v in plain.items()})
        for i in range(batches)
    ]
    return {block: torch.stack([row[block] for row in rows]) for block in made}


def _error(update: Tensor, truth: Tensor) -> float:
    return float((update - truth).double().square().sum())


def _cosine(update: Tensor, truth: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(update.double(), truth.double().expand_as(update), dim=-1).mean())


def _geometric(ratios: Sequence[float]) -> float:
    return math.exp(_mean_of([math.log(max(ratio, 1e-30)) for ratio in ratios]))


def _mean_of(values: Sequence[float]) -> float:
    return sum(values) / len(values)
