"""Checks of I2M2, of Huang et al. (2021), and of the two one-line comparators."""

import math
from fractions import Fraction as Q
from itertools import product

import numpy as np
import sympy
import torch

from bogc.calibration.weights import PrecisionWeights
from bogc.models.product_of_experts import product_of_experts
from bogc.posterior import GradientPosterior
from bogc.posterior.conjugate import shrinkage
from theory.registry import How, check
from theory.support.elementary import largest, six, together

PRIOR = [Q(1, 2), Q(1, 3), Q(1, 6)]
FIRST = [[Q(1, 4), Q(3, 4)], [Q(2, 3), Q(1, 3)], [Q(4, 5), Q(1, 5)]]  # p(x1 | y)
SECOND = [[Q(1, 7), Q(2, 7), Q(4, 7)], [Q(3, 8), Q(1, 8), Q(1, 2)], [Q(2, 9), Q(4, 9), Q(1, 3)]]  # p(x2 | y)
SELECT = {
    (y, i, j): Q(1 + 3 * y + 5 * i + 2 * (j + y) % 3, 23) for y, i, j in product(range(3), range(2), range(3))
}
EXPERTS = [[0.3, -1.2, 2.1], [1.7, 0.4, -0.8], [-0.6, 0.9, 0.2]]
JOINT = {
    (a, b, y): Q((3 * a + 5 * b + 2 * y + a * b * y) % 7 + 1)
    for a, b, y in product(range(3), range(2), range(3))
}
PUBLISHED = {  # Huang et al. 2021, Table 4: w -> mean squared error with 1, 2 and 3 modalities
    Q(4, 5): (12.04, 8.16, 4.18),
    Q(1, 2): (75.89, 51.25, 26.06),
    Q(1, 5): (193.28, 129.81, 65.17),
    Q(0): (301.92, 207.45, 103.23),
}


@check("6.21", how=How.RATIONAL, tolerance=1e-12, code="bogc.models.product_of_experts.product_of_experts")
def product_from_the_graph() -> float:
    """Enumerate p(y) p(x1|y) p(x2|y) p(v|x1,x2,y), condition on x and v; a product without prior is wrong."""
    joint = {(y, i, j): PRIOR[y] * FIRST[y][i] * SECOND[y][j] for y, i, j in SELECT}
    wrong, bare_is_right, worst = 0, True, 0.0
    for i, j in product(range(2), range(3)):
        by_first = [sum(p for (a, b, _), p in joint.items() if (a, b) == (y, i)) for y in range(3)]
        by_second = [sum(p for (a, _, c), p in joint.items() if (a, c) == (y, j)) for y in range(3)]
        first, second = ([p / sum(row) for p in row] for row in (by_first, by_second))
        exact = [joint[y, i, j] * SELECT[y, i, j] for y in range(3)]
        claimed = [six.product_of_experts(PRIOR[y], (first[y], second[y]), SELECT[y, i, j]) for y in range(3)]
        bare = [first[y] * second[y] * SELECT[y, i, j] for y in range(3)]
        wrong += [p / sum(claimed) for p in claimed] != [p / sum(exact) for p in exact]
        bare_is_right &= [p / sum(bare) for p in bare] == [p / sum(exact) for p in exact]
        logits = {"one": first, "two": second, "joint": [SELECT[y, i, j] for y in range(3)]}
        code = product_of_experts({m: logs(own) for m, own in logits.items()}, logs(PRIOR)[0]).exp()[0]
        worst = largest(worst, *(abs(float(p / sum(exact)) - c) for p, c in together(exact, code.tolist())))
    return wrong + bare_is_right + worst


def logs(values: list[Q]) -> torch.Tensor:
    """Logarithms of one row, [1, C]."""
    return torch.tensor([[float(v) for v in values]], dtype=torch.float64).log()


@check("6.22", how=How.NUMERICAL, tolerance=1e-14)
def product_in_logarithms() -> float:
    """Against the normalised product of softmax probabilities, and log_softmax of the summed logits."""
    logits = torch.tensor(EXPERTS)
    probabilities = torch.softmax(logits, 1).prod(0)
    expected = torch.stack([(probabilities / probabilities.sum()).log(), torch.log_softmax(logits.sum(0), 0)])
    claimed = torch.tensor([six.log_product(y, EXPERTS) for y in range(3)])
    return largest((claimed - expected).abs())


@check("6.23", how=How.RATIONAL)
def missing_modality_by_enumeration() -> float:
    """Sum the second modality out; dropping it is exact for a selection free of it and of y only."""
    wrong = 0
    for i, free in product(range(2), (False, True)):
        chosen = {key: Q(2 + 3 * key[1], 11) if free else value for key, value in SELECT.items()}
        drawn = {(*key, 1): _graph(*key) * p for key, p in chosen.items()}
        drawn |= {(*key, 0): _graph(*key) * (1 - p) for key, p in chosen.items()}
        seen = {key: p for key, p in drawn.items() if key[1] == i and key[3] == 1}
        exact = [sum(p for key, p in seen.items() if key[0] == y) / sum(seen.values()) for y in range(3)]
        rows = [[chosen[y, i, j] for j in range(3)] for y in range(3)]
        claimed = [six.without_second(PRIOR[y], FIRST[y][i], SECOND[y], rows[y]) for y in range(3)]
        dropped = [PRIOR[y] * FIRST[y][i] for y in range(3)]
        wrong += [p / sum(claimed) for p in claimed] != exact
        wrong += ([p / sum(dropped) for p in dropped] == exact) != free
    return wrong


def _graph(y: int, i: int, j: int) -> Q:
    """Probability of a label and both modalities, before selection."""
    return PRIOR[y] * FIRST[y][i] * SECOND[y][j]


@check("6.24", how=How.NUMERICAL, tolerance=1e-14)
def one_residual_for_all_experts() -> float:
    """Automatic differentiation of the product's loss by the logits of each expert."""
    worst = 0.0
    for y in range(3):
        logits = torch.tensor(EXPERTS, requires_grad=True)
        product_logits = torch.log_softmax(logits, 1).sum(0)
        (gradient,) = torch.autograd.grad(-torch.log_softmax(product_logits, 0)[y], logits)
        claimed = [six.residual(k, y, [sum(column) for column in together(*EXPERTS)]) for k in range(3)]
        worst = largest(worst, (gradient - torch.tensor(claimed)).abs())
    return worst


@check("6.25", how=How.EXHAUSTIVE)
def latent_quality_by_all_predictors() -> float:
    """Every code of four inputs in two values, every predictor on it: least risk minus the Bayes risk."""
    weights = [[3, 1, 2], [2, 5, 1], [1, 4, 4], [6, 2, 3]]
    inputs, wrong = [[Q(v, 34) for v in row] for row in weights], 0
    bayes = min(1 - sum(row[y] for row, y in together(inputs, h)) for h in product(range(3), repeat=4))
    for code in product(range(2), repeat=4):
        rows = [[sum(inputs[x][y] for x in range(4) if code[x] == z) for y in range(3)] for z in range(2)]
        risks = (1 - sum(inputs[x][h[code[x]]] for x in range(4)) for h in product(range(3), repeat=2))
        wrong += six.latent_quality(inputs, rows) != min(risks) - bayes
    return wrong


@check("6.26", how=How.EXHAUSTIVE)
def adding_a_modality_never_hurts() -> float:
    """Risks by all predictors of x1 alone and of (x1, x2): the difference is the gain, and not negative."""
    gain = six.gain_of_refining([[[JOINT[a, b, y] for y in range(3)] for b in range(2)] for a in range(3)])
    alone = max(sum(p for (a, _, y), p in JOINT.items() if h[a] == y) for h in product(range(3), repeat=3))
    both = max(
        sum(p for (a, b, y), p in JOINT.items() if h[2 * a + b] == y) for h in product(range(3), repeat=6)
    )
    return float(abs(gain - (both - alone)) + (gain < 0) + (gain == 0))


@check("6.27", how=How.SYMBOLIC)
def tied_predictors_lose_by_a_modality() -> float:
    """Minimise E (x1 - c (x1 + x2))^2 over c."""
    c, signal, noise = sympy.symbols("c v s", positive=True)
    risk = (1 - c) ** 2 * signal + c**2 * noise
    (best,) = sympy.solve(sympy.diff(risk, c), c)
    return float(sympy.cancel(risk.subs(c, best) - six.tied_risk(signal, noise)) != 0)


@check("6.28", how=How.EXHAUSTIVE)
def risks_by_quality_and_excess() -> float:
    """All samples of two, majority vote on x1 and on (x1, x2): the identity holds and either sign occurs."""
    cells, wrong, signs = list(product(range(2), repeat=3)), 0, set()
    law = dict(zip(cells, (Q(n, 41) for n in (9, 2, 4, 5, 1, 7, 3, 10)), strict=True))
    quality = {used: six.latent_quality(_rows(law, (0, 1)), _rows(law, used)) for used in ((0, 1), (0,))}
    for sample in product(cells, repeat=2):
        counts = {cell: Q(sample.count(cell)) for cell in cells}
        risks, eta, excess = [], [], []
        for used in ((0, 1), (0,)):
            risks.append(1 - _accuracy(law, _fit(counts, used), used))
            eta.append(quality[used])
            excess.append(risks[-1] - min(1 - _accuracy(law, vote, used) for vote in _predictors(used)))
        wrong += six.risk_difference(tuple(eta), tuple(excess)) != risks[0] - risks[1]
        signs.add(risks[0] > risks[1])
    return wrong + (signs != {True, False})


@check("6.29", how=How.SYMBOLIC)
def simulation_by_conditional_variance() -> float:
    """Variance of the target given k modalities by Schur complement, a coordinate at a time, for any w."""
    w = sympy.Symbol("w")
    rows = sympy.Matrix(4, 4, lambda i, j: (1 - w) * int(i == j) + w * int(j == 0))
    cov, ones = rows * rows.T, sympy.ones(4, 1)
    wrong = 0
    for k in range(1, 5):
        cross = (cov * ones)[:k, :]
        left = (ones.T * cov * ones - cross.T * cov[:k, :k].inv() * cross)[0]
        wrong += sympy.cancel(100 * left - six.simulation_risk(k, w)) != 0
    return wrong


@check("6.29", how=How.MONTE_CARLO, tolerance=0.17, failure_rate=1e-6)
def simulation_by_least_squares() -> float:
    """Least squares on 3,000 samples of 4 x 100 Gaussian coordinates, w = .3."""
    # RSS / sigma^2 is chi-square, nu = 3000 - 100 k >= 2700 degrees of freedom. Laurent and Massart (2000):
    # P(|chi2 / nu - 1| > 2 sqrt(t / nu) + 2 t / nu) <= 2 exp(-t); three k, t = log(6e6) = 15.6: .164 < .17.
    z = np.random.default_rng(6).standard_normal((4, 3000, 100))
    m = 0.7 * z + 0.3 * z[0]
    target, worst = m.sum((0, 2)), 0.0
    for k in (1, 2, 3):
        x = np.concatenate(m[:k], axis=1)
        rest = target - x @ np.linalg.solve(x.T @ x, x.T @ target)
        worst = largest(worst, abs(rest @ rest / (3000 - 100 * k) / six.simulation_risk(k, 0.3) - 1))
    return worst


@check("6.29", how=How.NUMERICAL, tolerance=0.05)
def published_table_against_the_exact_value() -> float:
    """The twelve published values that are not zero lie 0 to 5 % above it."""
    excess = [
        v / float(six.simulation_risk(k, w)) - 1 for w, row in PUBLISHED.items() for k, v in enumerate(row, 1)
    ]
    return max(excess) if min(excess) >= 0 else math.inf


@check("6.30", how=How.SYMBOLIC)
def inverse_variance_by_lagrange() -> float:
    """Least variance of three independent sources under weights that sum to 1, by a Lagrange multiplier."""
    v, w, multiplier = sympy.symbols("v1:4", positive=True), sympy.symbols("w1:4"), sympy.Symbol("l")
    lagrangian = sum(x * y**2 for x, y in together(v, w)) - multiplier * (sum(w) - 1)
    found = sympy.solve([sympy.diff(lagrangian, x) for x in (*w, multiplier)], [*w, multiplier], dict=True)[0]
    return sum(bool(sympy.cancel(found[w[m]] - six.inverse_variance_weight(m, v)) != 0) for m in range(3))


@check("6.30", how=How.NUMERICAL, tolerance=1e-15, code="bogc.calibration.weights.PrecisionWeights")
def inverse_variance_in_code() -> float:
    """Precision weights of bogc, of three sources in two dimensions."""
    variances = torch.tensor([[0.3, 5.0], [1.7, 0.2], [0.9, 40.0]])
    posteriors = GradientPosterior(torch.zeros(3, 2), variances)
    code = PrecisionWeights()(torch.full((3, 2), 0.4), posteriors)
    claimed = [[six.inverse_variance_weight(m, column) for column in variances.T] for m in range(3)]
    return largest((code - torch.tensor(claimed)).abs())


@check("6.31", how=How.SYMBOLIC)
def svag_factor_by_least_error() -> float:
    """Minimise (gamma - 1)^2 g^2 + gamma^2 s / N over gamma."""
    gamma, g, s, n = sympy.symbols("gamma g s N", positive=True)
    (best,) = sympy.solve(sympy.diff((gamma - 1) ** 2 * g**2 + gamma**2 * s / n, gamma), gamma)
    return float(sympy.cancel(best - six.svag_factor(g, s, n)) != 0)


@check("6.31", how=How.NUMERICAL, tolerance=1e-15, code="bogc.posterior.conjugate.shrinkage")
def svag_factor_in_code() -> float:
    """Shrinkage of bogc with prior variance g^2 and noise s / N."""
    g, s = torch.tensor([0.3, -1.7, 40.0]), torch.tensor([2.1, 0.4, 9.0])
    return largest((shrinkage(g**2, s / 7) - six.svag_factor(g, s, 7)).abs())


def _fit(table: dict[tuple[int, ...], Q], used: tuple[int, ...]) -> dict[tuple[int, ...], int]:
    """Majority vote in each cell of the used inputs; ties and empty cells predict 0."""
    votes: dict[tuple[int, ...], Q] = {}
    for cell, weight in table.items():
        key = tuple(cell[i] for i in used)
        votes[key] = votes.get(key, Q(0)) + (weight if cell[2] else -weight)
    return {key: int(vote > 0) for key, vote in votes.items()}


def _predictors(used: tuple[int, ...]) -> list[dict[tuple[int, ...], int]]:
    """All maps from the used inputs to a label."""
    cells = list(product(range(2), repeat=len(used)))
    return [dict(zip(cells, votes, strict=True)) for votes in product(range(2), repeat=len(cells))]


def _rows(law: dict[tuple[int, ...], Q], used: tuple[int, ...]) -> list[list[Q]]:
    """Joint probabilities with the label, a row for each value of the used inputs."""
    cells = product(range(2), repeat=len(used))
    return [
        [
            sum(p for cell, p in law.items() if tuple(cell[i] for i in used) == key and cell[2] == y)
            for y in range(2)
        ]
        for key in cells
    ]


def _accuracy(law: dict[tuple[int, ...], Q], vote: dict[tuple[int, ...], int], used: tuple[int, ...]) -> Q:
    return sum((p for cell, p in law.items() if vote[tuple(cell[i] for i in used)] == cell[2]), Q(0))
