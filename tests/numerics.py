"""Write into docs/numerics.md how exact the tensor functions are, dtype by dtype.

Run as ``python -m tests.numerics``. Each function is called as a user calls it, in the dtype and through the
constructors that check, and compared with 60 digits of the same on the very numbers that the dtype holds.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from mpmath import mp, mpf
from torch import Generator, Tensor

from bogc.belief import EVIDENCE_MAPS, DirichletBelief, Evidence, MassFunction, Opinion
from bogc.calibration import PrecisionWeights, RelativeBelief, calibrate
from bogc.checks import check_finite
from bogc.combination import RULES, cautious, cumulative, dempster, reduced
from bogc.errors import BogcError
from bogc.gradients import GradientMoments
from bogc.posterior import ConjugateNormal, Filtered, GradientPosterior, GradientPrior, filter_step
from docs.collect import markdown

PAGE: Final = Path(__file__).parents[1] / "docs" / "numerics.md"
DTYPES: Final = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SCALES: Final = tuple(10.0**exponent for exponent in range(-30, 31, 6))
W: Final = 2.0
N: Final = 8
Numbers = Any
"""Numbers of 60 digits, nested like the tensor that they are of."""


@dataclass(frozen=True)
class Case:
    """A function, what it is tried on, and the same in 60 digits.

    Attributes:
        inputs: Scale and generator -> arguments, float64, before they are rounded to the dtype.
        run: Arguments -> what the function returns, checked.
        exact: The same arguments as numbers -> the result.
        whole: Errors are of the largest of a result, rather than of each of its numbers: shares of 1.
        scales: What it is tried on.
    """

    inputs: Callable[[float, Generator], list[Tensor]]
    run: Callable[..., Tensor]
    exact: Callable[..., Numbers]
    whole: bool = False
    scales: Sequence[float] = SCALES


@dataclass(frozen=True)
class Found:
    """What trying a case in a dtype gave.

    Attributes:
        error: The largest relative error, in units of the dtype's eps.
        taken: Scales that did not end in a typed error.
        tried: How many there were.
    """

    error: float
    taken: list[float]
    tried: int


def amounts(*shape: int) -> Callable[[float, Generator], list[Tensor]]:
    """Positive numbers over two decades, at a scale."""
    return lambda scale, random: [scale * drawn(random, *shape)]


def drawn(random: Generator, *shape: int) -> Tensor:
    """Between a tenth and ten."""
    return 10 ** (2 * torch.rand(*shape, generator=random, dtype=torch.float64) - 1)


def signed(random: Generator, *shape: int) -> Tensor:
    """The same with a sign."""
    return drawn(random, *shape) * (2 * torch.randint(2, shape, generator=random) - 1)


def seen(scale: float, random: Generator) -> list[Tensor]:
    """Mean of a gradient of that size, its variance in a sample and a prior's."""
    return [scale * signed(random, 6), scale**2 * drawn(random, 6), scale**2 * drawn(random, 6)]


def moments(mean: Tensor, variance: Tensor) -> GradientMoments:
    return GradientMoments.from_variance(mean, variance, float(N), N - 1.0)


def posterior(mean: Tensor, variance: Tensor, prior: Tensor) -> Tensor:
    found = ConjugateNormal(GradientPrior(torch.zeros_like(mean), prior))(moments(mean, variance))
    return torch.stack([found.loc, found.variance])


def exact_posterior(mean: Numbers, variance: Numbers, prior: Numbers) -> Numbers:
    pairs = list(zip(mean, variance, prior, strict=True))
    return [[m * p / (p + v / N) for m, v, p in pairs], [p * v / N / (p + v / N) for m, v, p in pairs]]


def filtered(mean: Tensor, variance: Tensor, prior: Tensor) -> Tensor:
    before = Filtered(mean.flip(0), torch.ones_like(mean))
    found = filter_step(before, moments(mean, variance), GradientPrior(torch.zeros_like(mean), prior), 0.5)
    return checked(torch.stack(list(found)))


def exact_filtered(mean: Numbers, variance: Numbers, prior: Numbers) -> Numbers:
    left, rows = mpf(0.25) / mpf(1.75), []
    for m, v, p, old in zip(mean, variance, prior, mean[::-1], strict=True):
        ratio = p / (v / N)
        rows.append((old / 2 + ratio / (1 + left + ratio) * (m - old / 2), left + ratio))
    return list(zip(*rows, strict=True))


def checked(values: Tensor) -> Tensor:
    check_finite("result", values)
    return values


def counted(name: str) -> Callable[..., Tensor]:
    """Evidence of a map on the sign frame, for each sign."""

    def run(mean: Tensor, variance: Tensor, prior: Tensor) -> Tensor:
        found = EVIDENCE_MAPS[name](W)(
            GradientPosterior(mean, variance), GradientPrior(torch.zeros_like(mean), prior + variance)
        )
        return Evidence(found.values, W).values

    return run


def exact_counted(amount: Callable[..., Any]) -> Callable[..., Numbers]:
    def exact(mean: Numbers, variance: Numbers, prior: Numbers) -> Numbers:
        rows = []
        for m, v, p in zip(mean, variance, prior, strict=True):
            share = (1 + mp.erf(m / mp.sqrt(2 * v))) / 2
            total = min(max(amount(m, v, p + v, variance), mpf(0)), mpf(1e18))
            rows.append([total * share, total * (1 - share)])
        return rows

    return exact


MAPS: Final = {
    "pseudo-count": lambda m, v, p, every: W * (p / v - 1),
    "relative-precision": lambda m, v, p, every: len(every) / v / sum(1 / each for each in every),
    "log-precision": lambda m, v, p, every: mp.log1p(p / v),
    "signal-to-noise": lambda m, v, p, every: m * m / v,
    "power": lambda m, v, p, every: 1 / mp.sqrt(v),
    "identity": lambda m, v, p, every: 1 / v,
}


def opinion(values: Tensor) -> Opinion:
    return Opinion.from_dirichlet(DirichletBelief.from_evidence(Evidence(values, W)))


def shares(found: Opinion) -> Tensor:
    Opinion(found.belief, found.uncertainty, found.base_rate)
    return torch.cat([found.belief, found.uncertainty.unsqueeze(-1)], -1)


def exact_shares(ratios: Numbers) -> Numbers:
    """b and u from evidence over W."""
    total = 1 + sum(ratios)
    return [*(each / total for each in ratios), 1 / total]


def of_evidence(combine: Callable[[list[Opinion]], Opinion]) -> Callable[[Tensor], Tensor]:
    return lambda stacked: shares(combine([opinion(values) for values in stacked]))


def doubtful(scale: float, random: Generator) -> list[Tensor]:
    """Three opposed opinions on 16 hypotheses without evidence, of such doubt."""
    doubt = torch.full((3, 1), min(scale, 1 / scale), dtype=torch.float64)
    belief = torch.zeros(3, 16, dtype=torch.float64)
    belief[range(3), range(3)] = 1 - doubt[:, 0]
    return [torch.cat([belief, doubt], 1)]


def of_opinions(combine: Callable[[list[Opinion]], Opinion]) -> Callable[[Tensor], Tensor]:
    def run(rows: Tensor) -> Tensor:
        rate = rows.new_full((16,), 1 / 16)
        return shares(combine([Opinion(row[:-1], row[-1], rate) for row in rows]))

    return run


FUSED: Final = {
    "dempster": (reduced.combine, lambda column: math.prod(1 + each for each in column) - 1),
    "cumulative": (cumulative.combine, sum),
    "cautious": (cautious.combine, max),
}


def exact_fused(name: str, unit: float = W) -> Callable[[Numbers], Numbers]:
    def exact(stacked: Numbers) -> Numbers:
        ratios = [[each / unit for each in row] for row in stacked]
        return exact_shares([FUSED[name][1](column) for column in zip(*ratios, strict=True)])

    return exact


def exact_bare(name: str) -> Callable[[Numbers], Numbers]:
    def exact(rows: Numbers) -> Numbers:
        ratios = [[each / row[-1] for each in row[:-1]] for row in rows]
        return exact_shares([FUSED[name][1](column) for column in zip(*ratios, strict=True)])

    return exact


def fuse(name: str) -> Callable[[Tensor], Tensor]:
    return lambda stacked: shares(Opinion.from_evidence(RULES[name].fuse(Evidence(stacked, W))))


def full(stacked: Tensor) -> Tensor:
    return shares(dempster.combine([MassFunction.from_opinion(opinion(v)) for v in stacked]).to_opinion())


def update(means: Tensor, evidence: Tensor) -> Tensor:
    """Two sources' gradients, by the belief of their opinions."""
    sources = [opinion(values) for values in evidence]
    certain = [GradientPosterior(mean, torch.ones_like(mean)) for mean in means]
    found = calibrate(certain, sources, reduced.combine(sources))
    return torch.stack([found.direction, found.conservatism])


def exact_update(means: Numbers, evidence: Numbers) -> Numbers:
    directions, allowed = [], []
    for d in range(len(means[0])):
        ratios = [[each / W for each in source[d]] for source in evidence]
        fused = [math.prod(1 + each for each in column) - 1 for column in zip(*ratios, strict=True)]
        kappa = 2 * (1 - exact_shares(fused)[-1])
        beliefs = [1 - exact_shares(ratio)[-1] for ratio in ratios]
        kept = sum(b * mean[d] for b, mean in zip(beliefs, means, strict=True))
        directions.append(kappa * kept / sum(beliefs))
        allowed.append(kappa)
    return [directions, allowed]


def weights(kind: Any) -> Callable[[Tensor], Tensor]:
    return lambda values: checked(kind()(values, GradientPosterior(torch.zeros_like(values), values)))


def exact_weights(power: int) -> Callable[[Numbers], Numbers]:
    def exact(rows: Numbers) -> Numbers:
        columns = zip(*rows, strict=True)
        parts = [[each**power / sum(c**power for c in column) for each in column] for column in columns]
        return list(zip(*parts, strict=True))

    return exact


CROWD: Final = (1e-30, 1.0)
CASES: Final = {
    "posterior: mean and variance": Case(seen, posterior, exact_posterior),
    "posterior: filtered, one step": Case(seen, filtered, exact_filtered, whole=True),
    **{f"evidence: {n}": Case(seen, counted(n), exact_counted(e), whole=True) for n, e in MAPS.items()},
    "opinion of evidence, K = 16": Case(
        amounts(16), lambda e: shares(opinion(e)), lambda e: exact_shares([each / W for each in e])
    ),
    **{
        f"{name}: 3 sources, K = 16": Case(amounts(3, 16), of_evidence(c), exact_fused(name))
        for name, (c, _) in FUSED.items()
    },
    **{
        f"{name}: 3 opposed, u = scale": Case(
            doubtful, of_opinions(c), exact_bare(name), whole=True, scales=SCALES[:5]
        )
        for name, (c, _) in FUSED.items()
    },
    **{
        f"{name}: 2,000 sources, K = 4": Case(
            amounts(2000, 4), fuse(name), exact_fused(name), whole=True, scales=CROWD
        )
        for name in FUSED
    },
    "dempster in a step, 3 sources": Case(
        amounts(3, 2), fuse("dempster"), exact_fused("dempster"), whole=True
    ),
    "dempster on the power set, K = 8": Case(amounts(3, 8), full, exact_fused("dempster"), whole=True),
    "weights: relative belief": Case(amounts(3, 6), weights(RelativeBelief), exact_weights(1)),
    "weights: precision": Case(amounts(3, 6), weights(PrecisionWeights), exact_weights(-1)),
    "update: direction and step": Case(
        lambda s, random: [s * signed(random, 2, 6), drawn(random, 2, 6, 2)], update, exact_update, whole=True
    ),
}


def numbers(values: Tensor) -> Numbers:
    """The very numbers of a tensor."""
    return [numbers(value) for value in values] if values.ndim else mpf(values.item())


def flat(values: Numbers) -> list[Any]:
    return (
        [each for value in values for each in flat(value)] if isinstance(values, list | tuple) else [values]
    )


def tried(case: Case, dtype: torch.dtype) -> Found:
    """Try all scales; what a dtype does not hold is infinite there, and has to be refused."""
    worst, taken, random = 0.0, [], torch.Generator().manual_seed(0)
    for scale in case.scales:
        given = [value.to(dtype) for value in case.inputs(scale, random)]
        try:
            found = flat(numbers(case.run(*given)))
        except BogcError:
            continue
        taken.append(scale)
        worst = max(worst, error_of(found, flat(case.exact(*map(numbers, given))), dtype, case.whole))
    return Found(worst, taken, len(case.scales))


def error_of(found: list[Any], exact: list[Any], dtype: torch.dtype, whole: bool) -> float:
    """The largest relative error in units of eps; of numbers below the smallest normal one, to that."""
    kind = torch.finfo(dtype)
    largest = max(map(abs, exact)) if whole else 0
    parts = [abs(f - e) / max(abs(e), largest, mpf(kind.tiny)) for f, e in zip(found, exact, strict=True)]
    return float(max(parts) / kind.eps)


def measured() -> dict[str, dict[torch.dtype, Found]]:
    """Every case in every dtype."""
    with mp.workdps(60):
        return {name: {dtype: tried(case, dtype) for dtype in DTYPES} for name, case in CASES.items()}


def cell(found: Found) -> str:
    """The error, rounded up to a power of two, and the scales that were taken if some were not."""
    if len(found.taken) == 0:
        return "refused"
    error = f"{2 ** math.ceil(math.log2(max(found.error, 0.5))):g}"
    low, high = (f"1e{round(math.log10(scale))}" for scale in (found.taken[0], found.taken[-1]))
    if len(found.taken) == found.tried:
        return error
    return f"{error} ({low})" if low == high else f"{error} ({low} to {high})"


def table(found: dict[str, dict[torch.dtype, Found]]) -> str:
    """A row a function, a column a dtype."""
    rows = [[name, *(cell(each) for each in row.values())] for name, row in found.items()]
    return markdown(["", *(str(dtype).removeprefix("torch.") for dtype in DTYPES)], rows)


def filled(text: str, block: str) -> str:
    """Replace what stands between the markers."""
    return re.sub(
        r"(?<=<!-- numerics -->\n).*?(?=\n<!-- /numerics -->)", lambda _: block, text, flags=re.DOTALL
    )


def main() -> None:
    """Measure, and fill in the page."""
    torch.set_num_threads(1)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(text, table(measured())), encoding="utf-8")


if __name__ == "__main__":
    main()
