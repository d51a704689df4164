"""Networks that torch.distributed wraps; test_sharded.py tests those under fully_shard."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from bogc.distributed import current_group
from bogc.errors import BogcError
from bogc.gradients import PerSample, Successive
from bogc.methods import BOGC, InverseVariance, UnimodalSum
from bogc.models import over_team
from tests.networks import PlainNetwork, RichNetwork, batch
from tests.processes import together

BALANCERS: dict[str, Callable] = {
    "sum": UnimodalSum,
    "bogc": lambda partition: BOGC(partition, Successive(0.9)),
    "inverse-variance": InverseVariance,
}
WAYS = ("module", "no_sync", "plain")
STEPS = 4
SAMPLES = 11


def losses_of(network: Callable, rank: int, size: int, seed: int) -> dict[str, Tensor]:
    inputs, targets = batch(SAMPLES, seed)
    own = torch.arange(SAMPLES).tensor_split(size)[rank]
    logits = network({modality: value[own] for modality, value in inputs.items()})
    return {source: cross_entropy(z, targets[own], reduction="none") for source, z in logits.items()}


def train(method: str, rank: int, size: int, way: str = "", rich: bool = False) -> list[Tensor]:
    """Weights and last gradients after a few steps."""
    torch.manual_seed(0)
    network = over_team(RichNetwork(), current_group()) if rich else PlainNetwork()
    called, around = network, nullcontext
    if way:
        wrapped = DistributedDataParallel(network)
        called = wrapped.module if way == "module" else wrapped
        around = wrapped.no_sync if way == "no_sync" else nullcontext
    balancer = BALANCERS[method](network.partition())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for seed in range(STEPS):
        optimiser.zero_grad()
        with around():
            losses = losses_of(called, rank, size, seed)
        balancer.backward(losses)
        optimiser.step()
    reached = [p for p in network.parameters() if p.grad is not None]
    return [p.detach() for p in network.parameters()] + [p.grad for p in reached]


def wrapped(rank: int, size: int) -> dict[tuple[str, str], list[Tensor]]:
    found = {(method, way): train(method, rank, size, way) for method in BALANCERS for way in WAYS}
    return found | {(method, "rich"): train(method, rank, size, rich=True) for method in BALANCERS}


def test_wrapped_networks_and_norms_over_the_team_train_as_one_process_does(tmp_path: Path):
    for found in together(wrapped, 2, tmp_path):
        for (method, way), values in found.items():
            expected = train(method, 0, 1, rich=way == "rich")
            for one, other in zip(values, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, msg=f"{method}, {way}")


def test_ordinary_batch_norm_in_parts_is_another_function(tmp_path: Path):
    """The control of the test above: without ``over_team`` the result is visibly another."""
    (first, _) = together(unconverted, 2, tmp_path)
    expected = train("sum", 0, 1, rich=True)
    assert max(float((a - b).abs().max()) for a, b in zip(first, expected, strict=True)) > 1e-3


def unconverted(rank: int, size: int) -> list[Tensor]:
    torch.manual_seed(0)
    network = RichNetwork()
    balancer = UnimodalSum(network.partition())
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for seed in range(STEPS):
        optimiser.zero_grad()
        balancer.backward(losses_of(network, rank, size, seed))
        optimiser.step()
    reached = [p for p in network.parameters() if p.grad is not None]
    return [p.detach() for p in network.parameters()] + [p.grad for p in reached]


def refused(rank: int, size: int) -> list[str]:
    """Errors of two calls: moments within a batch where a layer is over all, and a source not everywhere."""
    attempts: list[Callable] = []
    rich = over_team(RichNetwork(), current_group())
    partition = rich.partition()
    attempts.append(lambda: BOGC(partition, PerSample()).backward(losses_of(rich, rank, size, 0)))

    def lacking() -> None:
        losses = losses_of(rich, rank, size, 0)
        if rank == 1:
            del losses["image"]
        UnimodalSum(partition).backward(losses)

    attempts.append(lacking)
    found = []
    for attempt in attempts:
        try:
            attempt()
        except BogcError as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


def test_what_cannot_be_exact_is_refused(tmp_path: Path):
    for per_sample, lacking in together(refused, 2, tmp_path):
        assert per_sample.startswith(
            "UnsuitableError: estimator must be exact on a batch that is spread over processes"
        )
        assert lacking.startswith("UnsuitableError: losses['image'] must be in every process where a layer")
