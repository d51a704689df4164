"""Networks in training, with balancers that watch the same batches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Final

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from bogc.data import MultimodalDataset, load_dataset
from bogc.methods import BOGC, CalibrationSettings, StepInfo
from bogc.training.config import TrainConfig
from bogc.training.loop import prepare
from bogc.training.state import batch_order, build_network, per_sample_losses, reproducible
from paper_repro.gradient_uncertainty.config import UncertaintyConfig
from paper_repro.gradient_uncertainty.truth import (
    Truths,
    find_truth,
    gradients,
    reference_batches,
    untouched,
)

DEFAULT: Final = "default"
UNKNOWN: Final = "n unknown"
FILTERED: Final = "filtered"
FORMER: Final = "former"
WATCHERS: Final = {
    DEFAULT: CalibrationSettings(),
    UNKNOWN: CalibrationSettings(),
    FILTERED: CalibrationSettings(posterior="filtered"),
    FORMER: CalibrationSettings(estimator="per-sample", prior="block", prior_decay=0.9),
}
"""Balancers by name; all but UNKNOWN are told the size of the training set."""

TRAINERS: Final[Mapping[str, Callable[[Iterable[nn.Parameter]], Optimizer]]] = {
    "sum": lambda parameters: SGD(parameters, lr=0.02, momentum=0.9),
    "bogc": lambda parameters: AdamW(parameters, lr=0.004),
}
"""Optimisers: of the plain sum, and of bogc's default update."""

Path = dict[tuple[str, str], list[float]]
"""Loss and layer to mean u at every step from the first moment on."""


@dataclass
class Watch:
    """What was seen of one network.

    Attributes:
        truths: By moment.
        paths: Of u by balancer, over the dimensions that were alive at the first moment.
    """

    truths: dict[int, Truths] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=lambda: {DEFAULT: {}})

    def true_u(self, pair: tuple[str, str]) -> dict[int, float]:
        """By moment, where there is a gradient."""
        known = {step: truths.pairs.get(pair) for step, truths in self.truths.items()}
        return {step: truth.uncertainties()["root"] for step, truth in known.items() if truth is not None}


def watch_training(
    config: UncertaintyConfig, dataset: str, batch_size: int, trainer: str, seed: int
) -> Iterator[tuple[Watch, int, Mapping[str, StepInfo]]]:
    """Train a network; at every step yield what is known, the step, and what each balancer said of it."""
    train = training_part(dataset)
    settings = TrainConfig(dataset=dataset, features=config.features, batch_size=batch_size, device="cpu")
    watch = Watch()
    with reproducible(seed):
        model = build_network(settings, train).train()
        partition = model.partition()
        optimiser: Optimizer = TRAINERS[trainer](model.parameters())
        former = seed == 0 and dataset in config.former and trainer == "sum" and batch_size == 64
        watchers: dict[str, BOGC] = {
            name: choice.build(partition, None if name == UNKNOWN else len(train))
            for name, choice in WATCHERS.items()
            if name != FORMER or former
        }

        def losses(indices: Tensor) -> dict[str, Tensor]:
            batch = train.take(indices)
            return per_sample_losses(model(batch.inputs), batch.targets)

        batches = (b for epoch in count() for b in batch_order(len(train), batch_size, seed, epoch))
        for step, indices in zip(range(config.steps), batches, strict=False):
            if step in config.moments:
                others = reference_batches(len(train), batch_size, config.reference, 7919 * (seed + 1) + step)
                with untouched(model):
                    watch.truths[step] = find_truth(lambda i: gradients(losses(i), partition), others)
            found = losses(indices)
            infos = {}
            for name in reversed(watchers):  # the default last: its update is what "bogc" takes
                optimiser.zero_grad(set_to_none=True)
                infos[name] = watchers[name].backward(found)
            if trainer == "sum":
                optimiser.zero_grad(set_to_none=True)
                torch.stack([loss.mean() for loss in found.values()]).sum().backward()
            for name in infos.keys() & {DEFAULT, FORMER}:
                _follow(watch, watch.paths.setdefault(name, {}), infos[name])
            yield watch, step, infos
            optimiser.step()


def _follow(watch: Watch, path: Path, info: StepInfo) -> None:
    """Take mean u into a path, once the first truth is known."""
    if not watch.truths:
        return
    first = next(iter(watch.truths.values()))
    for layer, block in info.blocks.items():
        for source, opinion in block.opinions.items():
            if (source, layer) in first.pairs:
                u = opinion.uncertainty[first.pairs[source, layer].alive]
                path.setdefault((source, layer), []).append(float(u.mean()))


@lru_cache(maxsize=1)
def training_part(dataset: str) -> MultimodalDataset:
    """Load the training part of the first fold."""
    return prepare(TrainConfig(dataset=dataset, device="cpu"), load_dataset(dataset)).train
