"""Is the calibrated update closer to the truth than the plain sum? And the fused opinion on its sign."""

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bogc.belief import Opinion
from bogc.calibration import CONSERVATISMS, SCALINGS, WEIGHTS, calibrate
from bogc.combination import FOLDS, reduced
from bogc.posterior import GradientPosterior
from paper_repro.gradient_uncertainty.judging import Judged
from paper_repro.gradient_uncertainty.measures import calibration_error
from paper_repro.gradient_uncertainty.watching import Pair

DEFAULTS: Final = ("relative-belief", "fused-certainty")
BATCH_MEANS: Final = "batch means"
BRIEF: Final = ("unscaled", "match-each-block")
Layers = Mapping[str, list[int]]
"""Layer to the places of its pairs."""


def shared_layers(pairs: Sequence[Pair], alive: Bool[Tensor, "P D"]) -> dict[str, list[int]]:
    """Layers that two or more sources reach, and that have a living dimension."""
    found: dict[str, list[int]] = {}
    for place, (block, _) in enumerate(pairs):
        found.setdefault(block, []).append(place)
    return {b: places for b, places in found.items() if len(places) > 1 and bool(alive[places].any())}


def update_scores(judged: Judged, layers: Layers, every: bool) -> dict[str, float]:
    """Squared error of updates over the plain sum's, geometric mean over layers; mean cosine gained.

    Args:
        judged: What is to be calibrated.
        layers: As from :func:`shared_layers`.
        every: All weights, conservatisms and scalings, not only the defaults.
    """
    plain, truth = _plain_and_true(judged, layers)
    scores: dict[str, float] = {}
    for weights, conservatism in [(w, c) for w in WEIGHTS for c in CONSERVATISMS] if every else [DEFAULTS]:
        made = {block: _update(judged, places, weights, conservatism) for block, places in layers.items()}
        label = f"{judged.name} | {weights}, {conservatism}"
        scores |= _scores(label, made, plain, truth, tuple(SCALINGS) if every else BRIEF)
    return scores


def batch_mean_scores(judged: Judged, layers: Layers) -> dict[str, float]:
    """The same scores of the default update, which aggregates batch means in place of posterior means."""
    plain, truth = _plain_and_true(judged, layers)
    made = {block: _update(judged, places, *DEFAULTS, batch_means=True) for block, places in layers.items()}
    return _scores(f"{judged.name} | {BATCH_MEANS}", made, plain, truth, BRIEF)


def reference_scores(judged: Judged, layers: Layers) -> dict[str, float]:
    """Least squared error that a known factor a layer could reach, over the plain sum's; its cosine."""
    plain, truth = _plain_and_true(judged, layers)
    best = {
        block: value * ((value * truth[block]).sum() / value.square().sum()) for block, value in plain.items()
    }
    return {
        "squared error | best factor": _relative_error(best, plain, truth),
        "cosine | plain sum": _cosine(plain, truth),
    }


def fused_sign_scores(judged: Judged, layers: Layers) -> dict[str, float]:
    """Calibration of the fused opinion on the sign of the summed gradient, and of the summed posteriors."""
    probabilities: dict[str, list[Tensor]] = {}
    happened: list[Tensor] = []
    for places in layers.values():
        kept = judged.truth.alive[places].all(0)
        total = judged.truth.gradient[places].sum(0)
        happened.append((total > 0).expand_as(judged.posterior.loc[:, 0])[:, kept].flatten())
        opinions = [_part(judged.opinion, place) for place in places]
        for rule, fold in FOLDS.items():
            fused = fold(opinions).projected_probability[..., 0]
            probabilities.setdefault(rule, []).append(fused[:, kept].flatten())
        loc, variance = (v[:, places].sum(1) for v in (judged.posterior.loc, judged.posterior.variance))
        summed = torch.special.ndtr(loc / variance.sqrt())[:, kept].flatten()
        probabilities.setdefault("summed posteriors", []).append(summed)
    truth = torch.cat(happened)
    return {
        f"fused sign error, {rule} | {judged.name}": calibration_error(torch.cat(parts), truth)
        for rule, parts in probabilities.items()
    }


def _scores(
    label: str,
    made: Mapping[str, Tensor],
    plain: Mapping[str, Tensor],
    truth: Mapping[str, Tensor],
    scalings: Sequence[str],
) -> dict[str, float]:
    """Cosine gained, and squared error at each length."""
    scores = {f"cosine gained | {label}": _cosine(made, truth) - _cosine(plain, truth)}
    for scaling in scalings:
        at_length = scaled(scaling, made, plain)
        scores[f"squared error | {label}, {scaling}"] = _relative_error(at_length, plain, truth)
    return scores


def _plain_and_true(judged: Judged, layers: Layers) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    plain = {block: judged.observed.mean[:, places].sum(1) for block, places in layers.items()}
    truth = {block: judged.truth.gradient[places].sum(0) for block, places in layers.items()}
    return plain, truth


def _part(opinion: Opinion, place: int) -> Opinion:
    return Opinion.unchecked(
        belief=opinion.belief[:, place],
        uncertainty=opinion.uncertainty[:, place],
        base_rate=opinion.base_rate,
    )


def _update(
    judged: Judged, places: Sequence[int], weights: str, conservatism: str, batch_means: bool = False
) -> Float[Tensor, "B D"]:
    """Directions; the sign frame works dimension by dimension, so batches are laid end to end."""
    shape = judged.posterior.loc[:, 0].shape
    variance = judged.posterior.variance.expand_as(judged.posterior.loc)
    posteriors = [
        GradientPosterior.unchecked(
            loc=judged.posterior.loc[:, place].flatten(), variance=variance[:, place].flatten()
        )
        for place in places
    ]
    opinions = [
        Opinion.unchecked(
            belief=judged.opinion.belief[:, place].reshape(-1, 2),
            uncertainty=judged.opinion.uncertainty[:, place].flatten(),
            base_rate=judged.opinion.base_rate,
        )
        for place in places
    ]
    update = calibrate(
        posteriors,
        opinions,
        reduced.fold(opinions),
        means=[judged.observed.mean[:, place].flatten() for place in places] if batch_means else None,
        weights=WEIGHTS[weights](),
        conservatism=CONSERVATISMS[conservatism](),
    )
    return update.direction.view(shape)


def scaled(name: str, made: Mapping[str, Tensor], plain: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scale each batch of directions [B, D] by layer, as ``SCALINGS[name]`` does in a step.

    Norms are those of the watched dimensions.
    """
    if name == "unscaled":
        return dict(made)
    lengths = [torch.stack([v[b].square().sum(-1) for b in made]) for v in (made, plain)]
    if name == "match-plain-sum":
        lengths = [squares.sum(0, keepdim=True).expand(len(made), -1) for squares in lengths]
    factors = torch.where(lengths[0] > 0, (lengths[1] / lengths[0]).sqrt(), 0)
    return {block: made[block] * factor.unsqueeze(-1) for block, factor in zip(made, factors, strict=True)}


def _relative_error(
    made: Mapping[str, Tensor], plain: Mapping[str, Tensor], truth: Mapping[str, Tensor]
) -> float:
    errors = [torch.stack([(v[b] - truth[b]).double().square().sum() for b in truth]) for v in (made, plain)]
    return float((errors[0] / errors[1]).log().mean().exp())


def _cosine(made: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> float:
    cosines = [
        torch.nn.functional.cosine_similarity(made[b].double(), truth[b].double(), dim=-1) for b in truth
    ]
    return float(torch.stack(cosines).mean())
