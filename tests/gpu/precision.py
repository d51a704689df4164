"""Part ``precision``: what half precision, another device and another go do to the update.

Two trainees see the same batches, and before each the second gets the parameters of the first: what differs
is one update, and what is remembered of the gradients before.
"""

import hashlib
import statistics
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from bogc import BOGC, Balancer, ModalityPartition, UnimodalSum
from tests.benchmarks.networks import CLASSES, Problem, TwoModal, series_encoder
from tests.gpu.machine import Machine
from tests.gpu.problems import flat
from tests.gpu.records import Row

STEPS: Final = 20
DRY_STEPS: Final = 3
FIRST_SCALE: Final = 2.0**24
"""Of losses in fp16: so large that the first steps overflow, which must be reported."""
MOST_OVERFLOWS: Final = 40
METHODS: Final[dict[str, Callable[[ModalityPartition], Balancer]]] = {"sum": UnimodalSum, "bogc": BOGC}
ROUNDING: Final = 1e-8
"""Relative difference of float64 updates, of 1e-16 a number, above which it is more than rounding."""


def rows(machine: Machine) -> dict[str, Callable[[], Row]]:
    """Two kinds of half precision, float32 and float64 on a CPU, and the same thing twice."""
    return {
        "bf16 autocast": partial(half, machine, torch.bfloat16, False),
        "fp16 with GradScaler": partial(half, machine, torch.float16, True),
        "cpu, float32": partial(elsewhere, machine, torch.float32),
        "cpu, float64": partial(elsewhere, machine, torch.float64),
        "same seed twice": partial(twice, machine),
    }


class Trainee:
    """A network with its balancer.

    Args:
        device: Where it is.
        dtype: Of its parameters.
        make: The method.
        half: Dtype of autocast, if any.
        scaled: Whether losses go through a GradScaler.
    """

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        make: Callable[[ModalityPartition], Balancer],
        half: torch.dtype | None = None,
        scaled: bool = False,
    ) -> None:
        torch.manual_seed(0)
        self.network = TwoModal((series_encoder(), series_encoder()), (64, 64)).to(device, dtype).train()
        self.device, self.dtype, self.half = device, dtype, half
        self.balancer = make(self.network.partition())
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.01, momentum=0.9)
        self.scaler = torch.amp.GradScaler(device.type, init_scale=FIRST_SCALE) if scaled else None
        self.overflows = self.unreported = 0

    def learn(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Take a step; again at a smaller scale, as long as gradients overflow. Returns the update [D]."""
        for _ in range(MOST_OVERFLOWS):
            found, reported = self._step(batch)
            finite = bool(torch.isfinite(found).all())
            self.overflows += reported
            self.unreported += not finite and not reported
            if not reported:
                return found.double().cpu()
        raise RuntimeError(f"gradients overflow at a scale {MOST_OVERFLOWS} times halved")

    def _step(self, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, bool]:
        """Gradients as the optimiser sees them, and whether the scaler reported an overflow."""
        first, second, targets = (x.to(self.device) for x in batch)
        problem = Problem(self.network, (first.to(self.dtype), second.to(self.dtype)), targets)
        self.optimiser.zero_grad()
        with torch.autocast(self.device.type, dtype=self.half, enabled=self.half is not None):
            losses = problem.losses()
        self.balancer.backward(losses, scaler=self.scaler)
        if self.scaler is None:
            found = flat(problem).clone()
            self.optimiser.step()
            return found, False
        before = self.scaler.get_scale()
        found = flat(problem) / before
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return found, self.scaler.get_scale() < before


def batches(machine: Machine) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Random series and classes, the same on every card."""
    generator = torch.Generator().manual_seed(1)
    steps, size = (DRY_STEPS, 8) if machine.dry else (STEPS, 64)
    for _ in range(steps):
        first, second = (torch.randn(size, 3, 200, generator=generator) for _ in range(2))
        yield first, second, torch.randint(CLASSES, (size,), generator=generator)


def differences(machine: Machine, one: Trainee, other: Trainee) -> Row:
    """Relative difference of each update: ||other - one|| / ||one||."""
    found = []
    for batch in batches(machine):
        other.network.load_state_dict(one.network.state_dict())
        expected, seen = one.learn(batch), other.learn(batch)
        found.append(float((seen - expected).norm() / expected.norm()))
    return {"median": statistics.median(found), "largest": max(found), "steps": len(found)}


@contextmanager
def exact() -> Iterator[None]:
    """No TF32 in convolutions either: products of float32 are those of float32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def half(machine: Machine, dtype: torch.dtype, scaled: bool) -> Row:
    """Half precision against float32."""
    row: Row = {}
    for name, make in METHODS.items():
        with exact():
            one = Trainee(machine.device, torch.float32, make)
            other = Trainee(machine.device, torch.float32, make, dtype, scaled)
            row[name] = differences(machine, one, other)
        row[name] |= {"overflows": other.overflows, "unreported": other.unreported}
    return row


def elsewhere(machine: Machine, dtype: torch.dtype) -> Row:
    """The same on a CPU and on the device."""
    row: Row = {}
    for name, make in METHODS.items():
        with exact():
            one = Trainee(torch.device("cpu"), dtype, make)
            row[name] = differences(machine, one, Trainee(machine.device, dtype, make))
        if dtype == torch.float64:
            row[name]["rounding"] = row[name]["largest"] <= ROUNDING
    return row


def twice(machine: Machine) -> Row:
    """Hashes of the parameters after the same steps, and what torch says is not deterministic."""
    before = torch.are_deterministic_algorithms_enabled()
    only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            hashes = {_trained(machine) for _ in range(2)}
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only)
    said = sorted({str(w.message).split(" does not have")[0][:80] for w in caught if _names(w)})
    return {"same": len(hashes) == 1, "steps": DRY_STEPS if machine.dry else STEPS, "not deterministic": said}


def _names(warning: Any) -> bool:
    return "does not have a deterministic implementation" in str(warning.message)


def _trained(machine: Machine) -> str:
    trainee = Trainee(machine.device, torch.float32, BOGC)
    for batch in batches(machine):
        trainee.learn(batch)
    values = torch.cat([p.detach().flatten().cpu() for p in trainee.network.parameters()])
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()
