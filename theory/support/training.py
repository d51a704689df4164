"""What training runs, on gradients made up for a check: the calibrator on a layer of a few dimensions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bogc.calibration import CalibratedBlock, Calibrator, Memory, Pipeline, Unscaled
from bogc.gradients import Block, GradientGroup, GradientMoments, Layout, Successive
from bogc.posterior import BlockSums, FixedPrior, GradientPrior, PriorPolicy, SuccessivePrior


@dataclass
class Trained:
    """Layers of ``size`` dimensions that losses named as ``sources`` reach, and their calibrator."""

    size: int
    layers: int = 1
    sources: tuple[str, ...] = ("fusion",)
    pipeline: Pipeline = field(default_factory=Pipeline)
    memory: Memory = field(default_factory=Memory)

    def __post_init__(self) -> None:
        zeros = [nn.Parameter(torch.zeros(self.size, dtype=torch.float64)) for _ in range(self.layers)]
        blocks = [Block(f"layer {i}", "only", (zero,)) for i, zero in enumerate(zeros)]
        self.layout = Layout(blocks, [self.sources] * self.layers)
        self.calibrator = Calibrator(Successive(), self.pipeline, Unscaled())

    def step(self, gradients: Sequence[Tensor], count: int = 10) -> CalibratedBlock | None:
        """Calibrate one gradient [D] a source; None before anything is known."""
        done = self.learn([gradient.view(1, -1) for gradient in gradients], count)
        return done["layer 0"] if len(done) else None

    def learn(self, gradients: Sequence[Tensor], count: int = 10) -> Mapping[str, CalibratedBlock]:
        """Calibrate one gradient [layers, D] a source."""
        pairs = {
            (source, f"layer {i}"): row
            for source, rows in zip(self.sources, gradients, strict=True)
            for i, row in enumerate(rows)
        }
        values = self.layout.fill(pairs, gradients[0])
        group = GradientGroup(self.layout, values, dict.fromkeys(self.sources, count))
        return self.calibrator.calibrate(self.calibrator.look([group], self.memory), self.memory).blocks

    @property
    def table(self) -> Mapping[str, Tensor]:
        """What is remembered of the block."""
        return self.memory.groups[0].table


def default(samples: int | None = None) -> Pipeline:
    """The default choices, with the size of the training set."""
    return Pipeline(prior=SuccessivePrior(samples=samples))


def learned(policy: PriorPolicy, *steps: GradientMoments, apart: bool = False) -> GradientPrior:
    """Prior of a policy after some steps, of one block [D] or of D blocks of one dimension."""
    if isinstance(policy, FixedPrior):  # its own scale has torch's default precision
        return GradientPrior.centred(steps[0].mean.new_full((1,), policy.value))
    table = {name: steps[0].mean.new_zeros(1, steps[0].mean.numel() if apart else 1) for name in policy.names}
    for moments in steps:
        squares, noise = moments.mean.square(), moments.noise.expand_as(moments.mean)
        pooled = [v.view(1, -1) if apart else v.mean().view(1, 1) for v in (squares, noise, noise.sqrt())]
        policy.learn(BlockSums(*pooled, (), 1.0, float(moments.count)), table)
    scale = policy.scale(table, len(steps), 1.0, float(steps[-1].count))
    return GradientPrior.centred(scale.to(steps[0].mean).view(-1))
