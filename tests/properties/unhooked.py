"""Misuse that the run-time type checker of the tests would stop first, run without it.

``main`` prints what each call raises, as a user sees it, in a process of its own.
"""

import json
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from bogc import BOGC, ModalityPartition
from bogc.belief import DirichletBelief, Evidence, MassFunction, Opinion, PseudoCount, measures
from bogc.calibration import CalibratedUpdate, calibrate
from bogc.combination import cumulative, dempster, reduced
from bogc.gradients import Drawn, check_losses
from bogc.posterior import GradientPosterior, GradientPrior


class Misuse(NamedTuple):
    """A call, the error it must raise, and how its message starts and ends."""

    call: Callable[[], object]
    error: str
    rule: str
    remedy: str


ONES, HALF = torch.ones(2), torch.full((2,), 0.5)
INTEGERS, LISTED = torch.ones(2, dtype=torch.int64), [1.0, 2.0]
META = torch.full((2,), 0.5, device="meta")
EVIDENCE = Evidence(ONES, 2.0)
DIRICHLET = DirichletBelief.from_evidence(EVIDENCE)
OPINION = Opinion.from_dirichlet(DIRICHLET)
MASS = MassFunction.from_opinion(OPINION)
POSTERIOR = GradientPosterior(ONES, ONES)
PRIOR = GradientPrior.centred(ONES)
SIGNS = Opinion.vacuous(torch.zeros(2, 2))
U = torch.tensor(0.5)
QUARTER = HALF / 2
LAYER = nn.Linear(2, 1)
PARTITION = ModalityPartition({"audio": LAYER})
LOSS = LAYER(torch.ones(3, 2)).square().squeeze(1)
WRAP = "Pass a module; wrap a bare parameter as nn.ParameterList([parameter])"
TYPE, SHAPE, DTYPE, DEVICE = "TypeMismatchError", "ShapeError", "DtypeError", "DeviceError"

CASES = {
    "evidence where a Dirichlet is due": Misuse(
        lambda: Opinion.from_dirichlet(EVIDENCE),
        TYPE, "dirichlet must be of type DirichletBelief; found Evidence", "Use DirichletBelief",
    ),
    "an opinion where evidence is due": Misuse(
        lambda: DirichletBelief.from_evidence(OPINION),
        TYPE, "evidence must be of type Evidence; found Opinion", "Count it with an evidence map",
    ),
    "evidence where a mass function starts from an opinion": Misuse(
        lambda: MassFunction.from_opinion(EVIDENCE),
        TYPE, "opinion must be of type Opinion; found Evidence", "Use Opinion.from_dirichlet",
    ),
    "evidence in Dempster's reduced rule": Misuse(
        lambda: reduced.combine([OPINION, EVIDENCE]),
        TYPE, "opinions[1] must be of type Opinion; found Evidence", "Turn evidence into an opinion",
    ),
    "an opinion in the product of evidence": Misuse(
        lambda: reduced.combine_evidence([OPINION, EVIDENCE]),
        TYPE, "evidences[0] must be of type Evidence; found Opinion", "Opinions are combined by combine()",
    ),
    "evidence in cumulative fusion": Misuse(
        lambda: cumulative.combine([EVIDENCE, OPINION]),
        TYPE, "opinions[0] must be of type Opinion; found Evidence", "Turn evidence into an opinion",
    ),
    "an opinion in Dempster's full rule": Misuse(
        lambda: dempster.combine([MASS, OPINION]),
        TYPE, "masses[1] must be of type MassFunction; found Opinion", "Use MassFunction.from_opinion",
    ),
    "evidence in the conflict": Misuse(
        lambda: measures.conflict([OPINION, EVIDENCE]),
        TYPE, "opinions[1] must be of type Opinion; found Evidence", "Use Opinion.from_dirichlet",
    ),
    "an opinion in the pignistic probability": Misuse(
        lambda: measures.pignistic_probability(OPINION),
        TYPE, "mass must be of type MassFunction; found Opinion", "Use MassFunction.from_opinion",
    ),
    "evidence in calibrate": Misuse(
        lambda: calibrate([POSTERIOR], [EVIDENCE], SIGNS),
        TYPE, "opinions must be of type Opinion; found Evidence", "Turn evidence into an opinion",
    ),
    "evidence as the fused opinion": Misuse(
        lambda: calibrate([POSTERIOR], [SIGNS], EVIDENCE),
        TYPE, "fused must be of type Opinion; found Evidence", "Use reduced.combine(opinions)",
    ),
    "a tensor as a posterior in calibrate": Misuse(
        lambda: calibrate([ONES], [SIGNS], SIGNS),
        TYPE, "posteriors must be of type GradientPosterior; found Tensor", "Use a posterior route",
    ),
    "a prior as the posterior of an evidence map": Misuse(
        lambda: PseudoCount()(PRIOR, PRIOR),
        TYPE, "posterior must be of type GradientPosterior; found GradientPrior", "Use a posterior route",
    ),
    "a posterior as the prior of an evidence map": Misuse(
        lambda: PseudoCount()(POSTERIOR, POSTERIOR),
        TYPE, "prior must be of type GradientPrior; found GradientPosterior", "Pass the prior",
    ),
    "a list as evidence": Misuse(
        lambda: Evidence(LISTED, 2.0),
        TYPE, "evidence must be of type Tensor; found list", "Pass a torch.Tensor",
    ),
    "integers as evidence": Misuse(
        lambda: Evidence(INTEGERS, 2.0),
        DTYPE, "evidence must be floating point; found torch.int64", "Convert it with .float()",
    ),
    "integers as a concentration": Misuse(
        lambda: DirichletBelief(INTEGERS, 2.0, HALF),
        DTYPE, "concentration must be floating point; found torch.int64", "Convert it with .float()",
    ),
    "integers as masses": Misuse(
        lambda: MassFunction(torch.tensor([0, 1, 0, 0])),
        DTYPE, "mass must be floating point; found torch.int64", "Convert it with .float()",
    ),
    "integers as a direction": Misuse(
        lambda: CalibratedUpdate(INTEGERS, HALF.expand(2, 2), ONES),
        DTYPE, "direction must be floating point; found torch.int64", "Convert it with .float()",
    ),
    "two dtypes in an opinion": Misuse(
        lambda: Opinion(QUARTER, U.double(), HALF),
        DTYPE, "opinion must have one dtype; found ['torch.float32', 'torch.float64']", "Convert with",
    ),
    "two dtypes in a Dirichlet": Misuse(
        lambda: DirichletBelief(ONES, 2.0, HALF.double()),
        DTYPE, "base_rate must have one dtype; found ['torch.float32', 'torch.float64']", "Convert with",
    ),
    "two devices in an opinion": Misuse(
        lambda: Opinion(QUARTER, U, META),
        DEVICE, "base_rate must be on one device; found ['cpu', 'meta']", "Move them with .to(device)",
    ),
    "two devices in an update": Misuse(
        lambda: CalibratedUpdate(ONES, HALF.expand(2, 2), META),
        DEVICE, "update must be on one device; found ['cpu', 'meta']", "Move them with .to(device)",
    ),
    "one opinion without an axis": Misuse(
        lambda: Opinion(U, U, HALF),
        "FrameError", "belief needs a frame of at least 2 hypotheses on its last axis; found 0", "Name the",
    ),
    "as many uncertainties as hypotheses": Misuse(
        lambda: Opinion(QUARTER, HALF, HALF),
        SHAPE, "uncertainty must have shape [], that of belief without its last axis; found [2]", "Give",
    ),
    "a base rate of one hypothesis": Misuse(
        lambda: DirichletBelief.from_evidence(EVIDENCE, torch.ones(1)),
        SHAPE, "base_rate must have shape [K] or [..., K] of [2]; found [1]", "Give one share to each",
    ),
    "more base rates than opinions": Misuse(
        lambda: DirichletBelief(ONES, 2.0, HALF.expand(5, 2)),
        SHAPE, "base_rate must have shape [K] or [..., K] of [2]; found [5, 2]", "Give one share to each",
    ),
    "an update of another shape": Misuse(
        lambda: CalibratedUpdate(ONES, HALF.expand(2, 2), torch.ones(3)),
        SHAPE, "update must have shapes [D], [M, D] and [D]; found [[2], [2, 2], [3]]", "Use calibrate()",
    ),
    "losses in a list": Misuse(
        lambda: check_losses([LOSS], PARTITION),
        "LossError", "losses must map each source to its losses; found list", 'Pass {"fusion"',
    ),
    "losses in one tensor": Misuse(
        lambda: check_losses(LOSS, PARTITION),
        "LossError", "losses must map each source to its losses; found Tensor", 'Pass {"fusion"',
    ),
    "a list as the losses of a source": Misuse(
        lambda: check_losses({"fusion": LISTED}, PARTITION),
        TYPE, "losses['fusion'] must be of type Tensor; found list", "Pass a torch.Tensor",
    ),
    "a bare parameter as a modality": Misuse(
        lambda: ModalityPartition({"audio": nn.Parameter(ONES)}),
        "PartitionError", "modality 'audio' must be a module or several; found Parameter", WRAP,
    ),
    "a bare parameter among shared modules": Misuse(
        lambda: ModalityPartition({"audio": LAYER}, shared=[nn.Parameter(ONES)]),
        "PartitionError", "modality 'shared' must be a module or several; found Parameter", WRAP,
    ),
    "a network in place of a partition's modalities": Misuse(
        lambda: ModalityPartition(LAYER),
        "PartitionError", "modalities must map at least one name to its modules; found Linear", 'Pass {"au',
    ),
    "a network in place of a partition": Misuse(
        lambda: BOGC(LAYER),
        TYPE, "partition must be of type ModalityPartition; found Linear", "Pass ModalityPartition({",
    ),
    "parameters as a last layer": Misuse(
        lambda: Drawn(heads={"audio": ONES}),
        TYPE, "heads['audio'] must be of type Module; found Tensor", "Pass the source's last layer.",
    ),
}  # fmt: skip


def raised(call: Callable[[], object]) -> list[str]:
    """Type and message of what the call raises."""
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


def main() -> None:
    print(json.dumps({name: raised(case.call) for name, case in CASES.items()}))
