"""Checks of the methods as released, where they depart from their papers: what reaches ``.grad``."""

from typing import Any

import numpy as np
import torch

from bogc.gradients import ModalityPartition
from bogc.methods import ReleasedCGGM, ReleasedOGMGE
from bogc.models import ModalOutputs, SumFusion
from theory.registry import How, check
from theory.support.elementary import dot, largest, norm, numeric_gradient, six
from theory.support.prescribed import Numbers, Prescribed, random_rows
from theory.support.siblings.balancers import MODALITIES, eyes

KERNEL, MATRIX = (2, 1, 1, 1), (3, 1)


@check("6.4", "6.5", how=How.NUMERICAL, tolerance=1e-12, code="bogc.methods.ReleasedOGMGE")
def released_ogm_slows_one_encoder_and_shakes_both() -> float:
    """Kernels of both encoders where either leads and at a tie; the other parameters keep their gradient."""
    network, worst = Prescribed(dict.fromkeys(MODALITIES, (KERNEL, MATRIX))), 0.0
    head = SumFusion(MODALITIES, 2, 2).double()
    for layer in head.linears.values():
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    strong, weak = torch.tensor([[1.5, 0.0]]).double(), torch.tensor([[0.2, 0.9]]).double()
    rows, targets = random_rows({"fusion": 1}, 5, 11, MODALITIES), torch.tensor([0])
    balancer = ReleasedOGMGE(network.partition, head, alpha=0.8, noise=0.7)
    for features, leads in (((strong, weak), 0), ((weak, strong), 1), ((weak, weak), None)):
        outputs = ModalOutputs(strong, {}, dict(zip(MODALITIES, features, strict=True)))
        torch.manual_seed(5)
        found = network.step(balancer, rows, outputs, targets)
        torch.manual_seed(5)
        score = [float(x.softmax(1)[0, 0]) for x in features]
        ratio = score[leads or 0] / score[1 - (leads or 0)]
        slow = 1 - six.jump(0.8) if leads is None else six.coefficient(ratio, 0.8)
        for m, name in enumerate(MODALITIES):
            gradient, factor = rows["fusion"][name][0], slow if m == (leads or 0) else 1.0
            kernel = gradient[:2].view(KERNEL)
            noise = 0.7 * (kernel.std() + 1e-8) * torch.randn_like(kernel)
            claimed = torch.cat([(factor * kernel + noise).flatten(), gradient[2:]])
            worst = largest(worst, (found[name] - claimed).abs())
    return worst


@check("6.6", "6.9", how=How.NUMERICAL, tolerance=1e-6, code="bogc.methods.ReleasedCGGM")
def released_cggm_pulls_the_head_one_step_late() -> float:
    """Two steps: gains from zero, then from the last merits; weights compared; the whole gradient clipped."""
    head, copies = Numbers(4, 4), eyes()
    network = Prescribed(dict.fromkeys(MODALITIES, (3,)))
    modules = {**network.modules, "head": head}
    partition = ModalityPartition(dict(network.modules), shared=[head])
    start = torch.randn(8, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    with torch.no_grad():
        for values, part in zip(head.values, start.split(4), strict=True):
            values.copy_(part)
    weights = lambda: dict(zip(MODALITIES, (p.view(2, 2) for p in head.values), strict=True))  # noqa: E731
    made = (partition, copies, torch.optim.SGD(copies.parameters(), 0.0), weights)
    balancer = ReleasedCGGM(*made, rho=1.3, direction=0.4, clip=2.0)
    answers = [{"audio": [0, 1, 1, 1], "video": [0, 0, 1, 0]}, {"audio": [0, 1, 0, 1], "video": [0, 1, 0, 0]}]
    merits, pull, worst = dict.fromkeys(MODALITIES, 0.0), np.zeros(8), 0.0
    for step, answer in enumerate(answers):
        features = {m: torch.eye(2, dtype=torch.float64)[own] for m, own in answer.items()}
        rows = random_rows({"fusion": 4}, 8, 20 + step, ("head",))
        rows["fusion"] |= random_rows({"fusion": 4}, 3, 40 + step, MODALITIES)["fusion"]
        losses = sum(own @ modules[name].flat for name, own in rows["fusion"].items())
        balancer.backward(
            {"fusion": losses}, ModalOutputs(features["audio"], {}, features), torch.tensor([0, 1, 0, 1])
        )
        right = {m: np.mean(np.array(own) == [0, 1, 0, 1]) for m, own in answer.items()}
        shares = [six.balance(m, [right[n] - merits[n] for n in MODALITIES]) for m in (0, 1)]
        mean = {name: own.mean(0).numpy() for name, own in rows["fusion"].items()}
        claimed = np.concatenate(
            [
                *(1.3 * b * mean[m] for m, b in zip(MODALITIES, shares, strict=True)),
                mean["head"] + 0.4 * pull,
            ]
        )
        claimed *= min(1, 2.0 / norm(claimed))
        found = torch.cat([module.taken() for module in modules.values()]).numpy()
        worst, merits = largest(worst, np.abs(found - claimed)), right
        pull = numeric_gradient(lambda p, b=shares: six.direction_loss(b, _alike(p)), start.numpy())
    return worst


def _alike(head: Any) -> list[float]:
    """Cosines between both halves of the head's weights and a classifier that copies."""
    one = np.eye(2).ravel()
    return [dot(own, one) / norm(own) / norm(one) for own in (head[:4], head[4:])]
