"""Checks of chapter 0: the conventions that are equations."""

from fractions import Fraction
from typing import Any

import sympy as sp
import torch
from torch import nn

from bogc.belief import Opinion
from bogc.calibration import EqualWeights, MatchEachBlock, MatchPlainSum, NoConservatism, calibrate
from bogc.gradients import GradientMoments, ModalityPartition, gradient, gradient_rows
from bogc.gradients.differentiate import mean_cotangent, sample_cotangents
from bogc.methods import UnimodalSum
from bogc.posterior import GradientPosterior
from theory.registry import How, check, formula
from theory.support.expectations import MEAN, VARIANCE, expectation


@formula("0.1")
def mean_gradient(gradients: Any) -> Any:
    """Mean of the per-sample gradients."""
    return sum(gradients) / len(gradients)


@formula("0.2")
def sample_variance(gradients: Any) -> Any:
    """Unbiased variance of one sample's gradient."""
    mean = mean_gradient(gradients)
    return sum((g - mean) ** 2 for g in gradients) / (len(gradients) - 1)


@formula("0.3")
def noise(variance: Any, count: Any) -> Any:
    """Variance of the mean of ``count`` independent samples."""
    return variance / count


@formula("0.4")
def plain_sum(means: Any) -> Any:
    """Sum over sources of the gradients of their mean losses."""
    return sum(means)


@formula("0.5")
def update(conservatism: Any, sources: Any) -> Any:
    """Calibrated update of one dimension, from the (weight, posterior mean) of each source."""
    return conservatism * sum(weight * mean for weight, mean in sources)


@formula("0.6")
def neutral(sources: Any) -> Any:
    """Conservatism and weight of a source at which nothing is calibrated."""
    return sources, 1 / sources


@formula("0.7")
def length_factor(directions: Any, plain: Any) -> Any:
    """Common factor that gives all blocks together the length of the plain sum."""
    wanted = sum(sum(value**2 for value in block) for block in plain)
    found = sum(sum(value**2 for value in block) for block in directions)
    return (wanted / found) ** 0.5


@check("0.1", how=How.SYMBOLIC)
def derivative_is_linear() -> float:
    """Differentiate the mean of five arbitrary losses."""
    theta, losses = sp.Symbol("theta"), [sp.Function(f"l{i}") for i in range(5)]
    mean_loss = sum(loss(theta) for loss in losses) * sp.Rational(1, 5)
    return int(sp.expand(mean_gradient([f(theta).diff() for f in losses]) - mean_loss.diff(theta)) != 0)


def network() -> tuple[ModalityPartition, dict[str, torch.Tensor]]:
    """Return a small partition and the losses of two sources on seven samples."""
    torch.manual_seed(3)
    encoder, head, fusion = nn.Linear(4, 3), nn.Linear(3, 2), nn.Linear(3, 2)
    x, y = torch.randn(7, 4), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    hidden = encoder(x).tanh()
    partition = ModalityPartition({"only": [encoder, head]}, shared=[fusion])
    entropy = nn.CrossEntropyLoss(reduction="none")
    return partition, {"fusion": entropy(fusion(hidden), y), "only": entropy(head(hidden), y)}


@check("0.1", how=How.NUMERICAL, tolerance=1e-6, code="bogc.gradients.differentiate.mean_cotangent")
def mean_cotangent_averages() -> float:
    """The row of the mean cotangent is the mean of the rows of single samples."""
    partition, losses = network()
    parameters = partition.blocks[0].parameters
    loss = losses["fusion"]
    batch = gradient(loss, parameters, mean_cotangent(loss))
    rows = gradient_rows(loss, parameters, sample_cotangents(loss), False)
    return max(float((mean_gradient([row[key] for row in rows]) - batch[key]).abs().max()) for key in batch)


@check("0.2", how=How.EXHAUSTIVE)
def variance_is_unbiased() -> float:
    """Average the estimate over all outcomes of two to five draws of a law of known variance."""
    return max(abs(expectation(sample_variance, n) - VARIANCE) for n in (2, 3, 5))


@check("0.3", how=How.EXHAUSTIVE)
def mean_scatters_by_noise() -> float:
    """Average the squared error of the mean over all outcomes of two, three and five draws."""
    return max(
        abs(expectation(lambda x: (sum(x) / Fraction(len(x)) - MEAN) ** 2, n) - noise(VARIANCE, n))
        for n in (2, 3, 5)
    )


@check("0.2", "0.3", how=How.NUMERICAL, tolerance=1e-12, code="bogc.gradients.moments.GradientMoments")
def moments_agree() -> float:
    """GradientMoments of five samples give the same mean, variance and noise."""
    samples = [0.3, -1.7, 2.9, 0.8, 1.1]
    moments = GradientMoments.from_samples(torch.tensor(samples, dtype=torch.float64).unsqueeze(1))
    variance = sample_variance(samples)
    found = (moments.mean, moments.variance, moments.noise)
    wanted = (mean_gradient(samples), variance, noise(variance, 5))
    return max(abs(float(f) - w) for f, w in zip(found, wanted, strict=True))


@check("0.4", how=How.NUMERICAL, tolerance=1e-6, code="bogc.methods.UnimodalSum")
def balancer_takes_the_plain_sum() -> float:
    """UnimodalSum fills .grad with the sum of the gradients that autograd finds loss by loss."""
    partition, losses = network()
    weight = partition.blocks[0].parameters[0]
    single = [torch.autograd.grad(v.mean(), weight, retain_graph=True)[0] for v in losses.values()]
    UnimodalSum(partition).backward(losses)
    return float((weight.grad - plain_sum(single)).abs().max())


@check("0.5", how=How.NUMERICAL, tolerance=1e-12, code="bogc.calibration.calibrate")
def calibrate_has_the_general_form() -> float:
    """Directions of one source at a time give weights and conservatism; with these, that of all sources."""
    torch.manual_seed(5)
    means = torch.randn(3, 4, dtype=torch.float64)
    beliefs = torch.rand(4, 4, 2, dtype=torch.float64) / 2
    rate = torch.full((2,), 0.5, dtype=torch.float64)
    *opinions, fused = [Opinion(belief, 1 - belief.sum(-1), rate) for belief in beliefs]

    def direction(values: torch.Tensor) -> torch.Tensor:
        posteriors = [GradientPosterior(row, torch.full_like(row, 0.7)) for row in values]
        return calibrate(posteriors, opinions, fused).direction

    alone = torch.stack([direction(torch.eye(3).double()[m, :, None].expand(3, 4)) for m in range(3)])
    conservatism = alone.sum(0)
    weights = alone / conservatism
    pairs = [list(zip(weights[:, d], means[:, d], strict=True)) for d in range(4)]
    found = max(abs(float(direction(means)[d] - update(conservatism[d], pairs[d]))) for d in range(4))
    return max(found, float(weights.min() < 0 or conservatism.min() < 0))


@check("0.5", "0.6", how=How.SYMBOLIC)
def neutral_update_is_the_plain_sum() -> float:
    """With neutral weights and unshrunk means the update is the plain sum, for two to four sources."""
    failures = 0
    for sources in (2, 3, 4):
        means = sp.symbols(f"g1:{sources + 1}")
        conservatism, weight = neutral(sp.Integer(sources))
        total = sum(weight for _ in means)
        difference = update(conservatism, [(weight, mean) for mean in means]) - plain_sum(means)
        failures += sp.expand(difference) != 0 or total != 1
    return int(failures)


@check("0.6", how=How.NUMERICAL, tolerance=1e-12, code="bogc.calibration.NoConservatism")
def equal_weights_without_conservatism_are_neutral() -> float:
    """EqualWeights and NoConservatism are the two neutral objects."""
    posterior = GradientPosterior(torch.tensor([0.4, -2.1]), torch.tensor([1.0, 3.0]))
    opinion = Opinion(torch.tensor([[0.2, 0.3], [0.1, 0.6]]), torch.tensor([0.5, 0.3]), torch.full((2,), 0.5))
    result = calibrate(
        [posterior] * 4, [opinion] * 4, opinion, weights=EqualWeights(), conservatism=NoConservatism()
    )
    conservatism, weight = neutral(4)
    errors = (result.conservatism - conservatism).abs().max() + (result.weights - weight).abs().max()
    return float(errors)


BLOCKS = {"a": [3.0, -1.5, 0.25], "b": [7.0, 0.5]}
PLAIN = {"a": [0.75, 2.5, -6.0], "b": [1.25, -4.0]}


@check("0.7", how=How.NUMERICAL, tolerance=1e-12)
def scaled_update_has_the_length_of_the_plain_sum() -> float:
    """The norm over all blocks after scaling is that of the plain sum."""
    factor = length_factor(BLOCKS.values(), PLAIN.values())
    scaled = torch.tensor([factor * v for b in BLOCKS.values() for v in b], dtype=torch.float64)
    plain = torch.tensor([v for b in PLAIN.values() for v in b], dtype=torch.float64)
    return float((torch.linalg.vector_norm(scaled) - torch.linalg.vector_norm(plain)).abs())


@check("0.7", how=How.NUMERICAL, tolerance=1e-12, code="bogc.calibration.MatchPlainSum")
def match_plain_sum_uses_one_factor() -> float:
    """MatchPlainSum multiplies every block by the same factor."""
    tensors = [
        {name: torch.tensor(v, dtype=torch.float64) for name, v in group.items()} for group in (BLOCKS, PLAIN)
    ]
    factor = length_factor(BLOCKS.values(), PLAIN.values())
    scaled = MatchPlainSum()(*tensors)
    return max(float((scaled[name] - factor * tensors[0][name]).abs().max()) for name in scaled)


@check("0.7", how=How.NUMERICAL, tolerance=1e-12, code="bogc.calibration.MatchEachBlock")
def match_each_block_uses_its_own_factor() -> float:
    """MatchEachBlock gives every block the length of its own plain sum."""
    directions, plain = (
        {name: torch.tensor(v, dtype=torch.float64) for name, v in group.items()} for group in (BLOCKS, PLAIN)
    )
    scaled = MatchEachBlock()(directions, plain)
    factors = {name: length_factor([BLOCKS[name]], [PLAIN[name]]) for name in BLOCKS}
    return max(float((scaled[name] - factors[name] * directions[name]).abs().max()) for name in scaled)
