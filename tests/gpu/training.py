"""Part ``training``: whole runs of three methods, to the end; accuracy and seconds."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bogc.gradients import FUSION
from bogc.methods import METHODS, TABLES, build_balancer
from bogc.models import MultimodalClassifier
from tests.gpu.machine import Machine
from tests.gpu.records import Row

NAMES: Final = ("joint", "sum", "bogc")
BATCH: Final = 128
EPOCHS: Final[Mapping[str, int]] = {"mnist-halves": 4, "synthetic": 30}
DRY_EPOCHS: Final = 2
SIGNALS: Final = {"strong": 3.0, "weak": 1.5, "faint": 0.3}
WIDTH: Final = 20
KINDS: Final = 4


@dataclass(frozen=True)
class Part:
    """Samples and their classes."""

    inputs: Mapping[str, Tensor]
    targets: Tensor

    def take(self, chosen: Tensor | slice) -> "Part":
        """Some of them."""
        return Part({name: x[chosen] for name, x in self.inputs.items()}, self.targets[chosen])

    def to(self, device: torch.device) -> "Part":
        """The same on a device."""
        return Part({name: x.to(device) for name, x in self.inputs.items()}, self.targets.to(device))


@dataclass(frozen=True)
class Data:
    """A data set with a test part.

    Attributes:
        classes: Their number.
    """

    name: str
    train: Part
    test: Part
    classes: int


def rows(machine: Machine) -> dict[str, Callable[[], Row]]:
    """One row a method."""
    return {name: partial(trained, machine, name) for name in NAMES}


@cache
def data(dry: bool) -> Data:
    """MNIST in halves, if its archive is in the cache, with the published test part; else ``synthetic``."""
    return synthetic() if dry else halves() or synthetic()


def halves() -> Data | None:
    """Digits, if they are there; nothing is fetched."""
    try:
        from bogc.data import default_cache_dir
        from bogc.data.mnist_halves import ARCHIVE, PUBLISHED_TRAIN, read_halves
    except ImportError:  # readers of other data sets need more packages than these figures
        return None
    path = default_cache_dir() / ARCHIVE.filename
    if not path.exists():
        return None
    found = read_halves(path)
    every = Part(found.inputs, found.targets)
    train, test = every.take(slice(PUBLISHED_TRAIN)), every.take(slice(PUBLISHED_TRAIN, None))
    return Data("mnist-halves", train, test, 10)


def synthetic(train: int = 1600, test: int = 400) -> Data:
    """Three modalities of Gaussians about orthonormal means, drawn as bogc's ``synthetic`` is."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(train + test) % KINDS
    inputs = {}
    for name, signal in SIGNALS.items():
        means = torch.linalg.qr(torch.randn(WIDTH, KINDS, generator=generator))[0].T
        noise = torch.randn(len(targets), WIDTH, generator=generator)
        inputs[name] = signal * means[targets] + noise
    every = Part(inputs, targets)
    return Data("synthetic", every.take(slice(train)), every.take(slice(train, None)), KINDS)


def trained(machine: Machine, method: str) -> Row:
    """Train, and test the last weights."""
    found = data(machine.dry)
    train, test = found.train.to(machine.device), found.test.to(machine.device)
    epochs = DRY_EPOCHS if machine.dry else EPOCHS[found.name]
    torch.manual_seed(0)
    samples = {name: x[0] for name, x in train.inputs.items()}
    model = MultimodalClassifier.for_samples(samples, found.classes, 64).to(machine.device)
    started = time.perf_counter()
    loss = fit(model, method, train, order(len(train.targets), epochs))
    spent = time.perf_counter() - started
    row: Row = {"data": found.name, "epochs": epochs, "loss": loss, "training_seconds": spent}
    return row | {"accuracy": accuracy(model, test)}


def fit(model: MultimodalClassifier, method: str, train: Part, batches: list[Tensor]) -> float:
    """One step a batch, as ``bogc train`` takes it. Returns the fusion loss at the end."""
    settings = TABLES[METHODS[method].table]() if METHODS[method].table else None
    balancer = build_balancer(method, model, settings, len(batches), len(train.targets))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, len(batches))
    values = []
    for batch in batches:
        seen = train.take(batch.to(train.targets.device))
        outputs = model(seen.inputs)
        logits = {FUSION: outputs.fused, **outputs.unimodal}
        losses = {s: cross_entropy(z, seen.targets, reduction="none") for s, z in logits.items()}
        optimiser.zero_grad()
        values.append(balancer.backward(losses, outputs, seen.targets).losses[FUSION])
        optimiser.step()
        schedule.step()
    last = float(torch.stack(values[-20:]).mean())
    if not math.isfinite(last):
        raise RuntimeError("training diverged")
    return last


def order(samples: int, epochs: int) -> list[Tensor]:
    """All batches of a run."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(epochs):
        found += [b for b in torch.randperm(samples, generator=generator).split(BATCH) if len(b) == BATCH]
    return found


@torch.no_grad()
def accuracy(model: MultimodalClassifier, test: Part) -> float:
    """Share of samples whose fused prediction is right."""
    model.eval()
    right = 0
    for start in range(0, len(test.targets), 2000):
        part = test.take(slice(start, start + 2000))
        right += int((model(part.inputs).fused.argmax(1) == part.targets).sum())
    return right / len(test.targets)
