"""Checks of the siblings' balancers: what training adds to ``.grad``, for gradients that are prescribed."""

import math
from collections.abc import Sequence
from fractions import Fraction as Q
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import ModalityPartition, PerSample
from bogc.methods import CGGM, I2M2, MIMO, OGMGE, InverseVariance, MMPareto, ReleasedMMPareto
from bogc.methods.cggm import cosines, direction_loss, guarded_balance
from bogc.models import ModalOutputs
from theory.registry import How, check
from theory.support.elementary import largest, norm, numeric_gradient, six, vectors
from theory.support.posterior_oracles import Formulas
from theory.support.prescribed import Numbers, Prescribed, Rows, random_rows
from theory.support.siblings.experts import EXPERTS
from theory.support.siblings.pareto import PAIRS
from theory.support.successive_checks import noises

SOURCES, MODALITIES = ("fusion", "audio", "video"), ("audio", "video")


def one_sample(values: Sequence[Any]) -> Tensor:
    """Gradients [1, D] of a batch of one."""
    return torch.tensor([[float(v) for v in values]], dtype=torch.float64)


def eyes() -> nn.ModuleDict:
    """Classifiers that copy two features."""
    copies = nn.ModuleDict({m: nn.Linear(2, 2, bias=False, dtype=torch.float64) for m in MODALITIES})
    for copy in copies.values():
        nn.init.eye_(copy.weight)
    return copies


def means(rows: Rows, name: str) -> list[list[float]]:
    """Mean gradient of each source in a module."""
    return [parts[name].mean(0).tolist() for parts in rows.values() if name in parts]


@check("6.12", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.MIMO")
def mimo_trains_by_its_formula() -> float:
    """One backward of MIMO on prescribed losses and gradients, dimension by dimension."""
    network, level = Prescribed({"audio": [4], "video": [1]}), {"fusion": 0.9, "audio": 1.3, "video": 0.4}
    rows = random_rows(dict.fromkeys(SOURCES, 5), 4, seed=1)
    rows["video"]["video"] = rows["video"]["audio"][:, :1]
    found = network.step(MIMO(network.partition, 1.6, 0.7), rows, **level)["audio"]
    columns = zip(*means(rows, "audio"), strict=True)
    claimed = [six.mimo_gradient(df0, df, [1.3, 0.4], 1.6, 0.7) for df0, *df in columns]
    return largest((found - torch.tensor(claimed)).abs())


@check("6.1", "6.4", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.OGMGE")
def ogm_slows_the_leading_encoder() -> float:
    """One backward of OGMGE without noise, for logits of which either modality leads."""
    network, rows = Prescribed({"audio": [3], "video": [2]}), random_rows({"fusion": 6}, 3, seed=2)
    rows["fusion"]["video"] = rows["fusion"]["audio"][:, :2] + 1
    logits, targets = (
        torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(3)).double(),
        torch.arange(6) % 4,
    )
    worst = 0.0
    for features in ({"audio": logits[0], "video": logits[1]}, {"audio": logits[1], "video": logits[0]}):
        balancer = OGMGE(network.partition, lambda slices: slices, alpha=0.8, noise=0.0)
        found = network.step(balancer, rows, ModalOutputs(logits[0], {}, features), targets)
        own = {m: z.softmax(1)[range(6), targets].tolist() for m, z in features.items()}
        for m, other in zip(MODALITIES, reversed(MODALITIES), strict=True):
            k = six.coefficient(six.score_ratio(own[m], own[other]), 0.8)
            worst = largest(worst, (found[m] - k * rows["fusion"][m].mean(0)).abs())
    return worst


@check("6.4", how=How.NUMERICAL, tolerance=1e-9, code="bogc.methods.OGMGE")
def a_slowed_encoder_gets_the_noise_of_its_batch() -> float:
    """Five steps of OGMGE: Normal numbers times the root of the noise; the other encoder has none."""
    network, one = Prescribed({"audio": [3], "video": [3]}), Formulas("01_posterior.py")
    leading = torch.tensor([[9.0, 0.0], [9.0, 0.0]]).double()
    outputs = ModalOutputs(leading, {}, {"audio": leading, "video": -leading})
    balancer, history, worst = OGMGE(network.partition, lambda slices: slices), list[list[Tensor]](), 0.0
    for step in range(5):
        rows = random_rows({"fusion": 6}, 3, 30 + step, MODALITIES)
        history.append([rows["fusion"]["audio"].mean(0)])
        torch.manual_seed(step)
        found = network.step(balancer, rows, outputs, torch.tensor([0, 0]))
        torch.manual_seed(step)
        z = torch.randn(2, 256, dtype=torch.float64)[0, :3]
        k = six.coefficient(six.score_ratio(*([float(x.softmax(1)[0, 0])] for x in (leading, -leading))), 0.8)
        claimed = k * history[-1][0]
        if step >= 2:
            level, _, roots = list(noises(history, [6] * (step + 1)))[-1]
            claimed += z * torch.tensor([one.levelled(level, 1, root, 6)[1] ** 0.5 for root in roots])
        other = found["video"] - rows["fusion"]["video"].mean(0)
        worst = largest(worst, (found["audio"] - claimed).abs(), other.abs())
    return worst


@check("6.8", "6.9", how=How.EXHAUSTIVE, tolerance=1e-14, code="bogc.methods.cggm.guarded_balance")
def cggm_functions_follow_their_formulas() -> float:
    """guarded_balance, cosines and direction_loss on a grid of gains, balances and angles."""
    worst = 0.0
    for gains in (*vectors([-0.9, 0.0, 0.2, 1.1], 2), *vectors([-0.4, 0.3, 0.7], 3)):
        shares = [six.guarded(m, gains, 0.3) for m in range(len(gains))]
        angles = [0.6 + 0.7 * m for m in range(len(gains))]
        own = torch.tensor(gains, dtype=torch.float64)
        others = [torch.tensor([[2 * math.cos(x)], [2 * math.sin(x)]], dtype=torch.float64) for x in angles]
        loss = direction_loss(own, cosines(torch.tensor([[3.0], [0.0]], dtype=torch.float64), others))
        worst = largest(worst, (guarded_balance(own, 0.3) - torch.tensor(shares)).abs())
        worst = largest(worst, abs(float(loss) - six.direction_loss(gains, list(map(math.cos, angles)))))
    return worst


@check("6.8", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.CGGM")
def cggm_balances_by_progress() -> float:
    """Two steps of CGGM without its direction loss: classifiers that copy features get more answers right."""
    network, rows = Prescribed({"audio": [3], "video": [3]}), random_rows({"fusion": 4}, 3, 4, MODALITIES)
    copies = eyes()
    balancer = CGGM(
        network.partition, copies, torch.optim.SGD(copies.parameters(), 0.0), rho=1.3, direction=0.0
    )
    targets, first = torch.tensor([0, 1, 0, 1]), torch.tensor([1, 1, 1, 1])
    answers = {"audio": torch.tensor([0, 1, 1, 1]), "video": torch.tensor([0, 1, 0, 1])}  # 3 and 4 right of 4
    for now in (dict.fromkeys(MODALITIES, first), answers):
        features = {m: functional.one_hot(own, 2).double() for m, own in now.items()}
        found = network.step(balancer, rows, ModalOutputs(features["audio"], {}, features), targets)
    factors = {m: 1.3 * six.guarded(i, [0.25, 0.5], 1e-3) for i, m in enumerate(MODALITIES)}
    return largest(*((found[m] - factors[m] * rows["fusion"][m].mean(0)).abs() for m in MODALITIES))


@check("6.8", "6.9", how=How.NUMERICAL, tolerance=1e-7, code="bogc.methods.CGGM")
def cggm_turns_the_fused_gradient() -> float:
    """The second step of CGGM with its direction loss, against central differences of 6.9 by hand."""
    draw, targets, y = torch.Generator().manual_seed(6), torch.tensor([0, 1, 0]), np.eye(2)[[0, 1, 0]]
    base, slope = (torch.randn(*size, generator=draw).double() for size in ((3, 2), (3, 2, 4)))
    experts = {m: Numbers(2) for m in MODALITIES}
    copies, answers = eyes(), {"audio": torch.tensor([0, 0, 0]), "video": torch.tensor([0, 1, 0])}
    balancer = CGGM(ModalityPartition(dict(experts)), copies, torch.optim.SGD(copies.parameters(), 0.0))
    for now in (dict.fromkeys(MODALITIES, torch.tensor([1, 0, 1])), answers):
        fused = base + slope @ torch.cat([module.flat for module in experts.values()])
        features = {m: functional.one_hot(own, 2).double() for m, own in now.items()}
        losses = {"fusion": functional.cross_entropy(fused, targets, reduction="none")}
        balancer.backward(losses, ModalOutputs(fused, {}, features), targets)
        found = torch.cat([module.taken() for module in experts.values()])
    shares = [six.guarded(i, [2 / 3, 1.0], 1e-3) for i in (0, 1)]

    def error(logits: Any) -> Any:
        odds = np.exp(logits)
        return (odds / odds.sum(1, keepdims=True) - y).ravel()

    def objective(p: Any) -> Any:
        logits = base.numpy() + slope.numpy() @ p
        own = error(logits)
        alike = [own @ e / norm(own) / norm(e) for e in (error(z.numpy()) for z in features.values())]
        entropy = np.mean(np.log(np.exp(logits).sum(1)) - (logits * y).sum(1))
        return entropy + 0.2 * six.direction_loss(shares, alike)

    return largest(
        np.abs(numeric_gradient(objective, np.zeros(4)) * 1.3 * np.repeat(shares, 2) - found.numpy())
    )


@check("6.16", "6.18", "6.19", how=How.EXHAUSTIVE, tolerance=1e-12, code="bogc.methods.MMPareto")
def mmpareto_trains_by_its_formula() -> float:
    """MMPareto on a grid of pairs of gradients, the encoder being one tensor of two dimensions."""
    network, worst = Prescribed({"audio": [2]}), 0.0
    for a, b in PAIRS:
        rows = {"fusion": {"audio": one_sample(a)}, "audio": {"audio": one_sample(b)}}
        found = network.step(MMPareto(network.partition), rows)["audio"]
        h = six.released_sum(a, b)
        claimed = six.lengthened(h, [x + y for x, y in zip(a, b, strict=True)]) if any(h) else [0, 0]
        worst = largest(worst, (found - one_sample(claimed)[0]).abs())
    return worst


@check("6.18", "6.19", "6.20", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.ReleasedMMPareto")
def released_mmpareto_lengthens_tensor_by_tensor() -> float:
    """ReleasedMMPareto in two encoders: on the example, product with a; and with tensors of two sizes."""
    network = Prescribed({"audio": [1, 1], "video": [2, 1]})
    pairs = {"audio": [(Q(2), Q(-1)), (Q(-5), Q(9))], "video": [(Q(2), Q(-1), Q(1)), (Q(-5), Q(9), Q(3, 2))]}
    rows = {"fusion": {m: one_sample(a) for m, (a, _) in pairs.items()}}
    rows |= {m: {m: one_sample(b)} for m, (_, b) in pairs.items()}
    found = network.step(ReleasedMMPareto(network.partition), rows)
    example = float(found["audio"] @ rows["fusion"]["audio"][0]) - float(
        six.first_order_change(*pairs["audio"])
    )
    h, total = six.released_sum(*pairs["video"]), [x + y for x, y in zip(*pairs["video"], strict=True)]
    claimed = [*six.lengthened(h[:2], total[:2]), *six.lengthened(h[2:], total[2:])]
    rows["audio"] = {
        "audio": torch.zeros(1, 2, dtype=torch.float64)
    }  # the shortest combination is that: .001
    alone = network.step(ReleasedMMPareto(network.partition), rows)["audio"]
    return largest(
        abs(example),
        (found["video"] - one_sample(claimed)[0]).abs(),
        (alone - 1.5 * rows["fusion"]["audio"][0]).abs(),
    )


@check("6.30", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.InverseVariance")
def inverse_variance_trains_by_its_formula() -> float:
    """M times the weighted sum, with the variances of two means over batches of 5 and 9 samples."""
    network, rows = Prescribed({"audio": [3]}), random_rows({"fusion": 5, "audio": 9}, 3, seed=5)
    found = network.step(InverseVariance(network.partition, PerSample()), rows)["audio"]
    parts = [own["audio"] for own in rows.values()]
    variances = [(own.var(0) / len(own)).tolist() for own in parts]
    worst = 0.0
    for d, column in enumerate(zip(*variances, strict=True)):
        weights = [six.inverse_variance_weight(m, column) for m in (0, 1)]
        claimed = 2 * sum(w * float(own[:, d].mean()) for w, own in zip(weights, parts, strict=True))
        worst = largest(worst, abs(float(found[d]) - claimed))
    return worst


@check("6.24", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.I2M2")
def experts_train_apart_and_then_together() -> float:
    """Three steps of I2M2 with experts that are logits: residuals of their own, then that of the product."""
    experts = {m: Numbers(3) for m in MODALITIES}
    logits, y, worst = dict(zip(MODALITIES, EXPERTS[:2], strict=True)), 1, 0.0
    balancer = I2M2(ModalityPartition(dict(experts)), apart=2)
    for m, module in experts.items():
        module.values[0].data.copy_(torch.tensor(logits[m]))
    total = [sum(column) for column in zip(*logits.values(), strict=True)]
    for seen in (logits, logits, dict.fromkeys(MODALITIES, total)):
        every = {m: module.flat.log_softmax(0) for m, module in experts.items()}
        product = sum(every.values(), start=torch.tensor(0.0)).log_softmax(0)
        balancer.backward({"fusion": -product[[y]], **{m: -own[[y]] for m, own in every.items()}})
        for m, module in experts.items():
            claimed = [six.residual(k, y, seen[m]) for k in range(3)]
            worst = largest(worst, (module.taken() - torch.tensor(claimed)).abs())
    return worst
