"""A batch spread over real processes and over micro-batches gives the update of the whole batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from bogc.distributed import SingleProcess
from bogc.errors import BogcError, LossError, NonFiniteError, ProcessError, UnsuitableError
from bogc.gradients import Grouped, PerSample
from bogc.methods import BOGC, CGGM, EVERYWHERE, Balancer, BatchView, JointTraining, UnimodalSum
from tests.networks import PlainNetwork, losses_of
from tests.processes import together

from .methods import METHODS as ALL
from .spread import Piece, Pieces, made, spread, whole
from .spread import losses_of as losses_of_piece


def spreads(method: str) -> bool:
    balancer = ALL[method](PlainNetwork().partition())
    return tuple(balancer.supports) == EVERYWHERE and not balancer.estimator.within_batch


METHODS = [method for method in ALL if spreads(method)]


def evenly(processes: int, samples: int = 12, without: dict[int, str] | None = None) -> list[Piece]:
    """One piece a process, sizes differing by one at most; ``without``: rank -> modality left out there."""
    bounds = [samples * rank // processes for rank in range(processes + 1)]
    missing = without or {}
    return [Piece(bounds[r], bounds[r + 1], missing.get(r)) for r in range(processes)]


def schedule(processes: int) -> list[Pieces]:
    """Eight batches: whole, uneven, short, and with a modality missing in one process, then in all."""
    last = processes - 1
    uneven = [Piece(0, 13 - processes)] + [Piece(12 - last + r, 13 - last + r) for r in range(last)]
    everywhere = dict.fromkeys(range(processes), "image")
    batches = [
        evenly(processes),
        uneven,
        evenly(processes, 7),
        evenly(processes, 12, {last: "sound"}),
        evenly(processes, 11, {0: "sound"}),
        evenly(processes, 12, everywhere),
        evenly(processes, 12, dict.fromkeys(range(last), "sound")),
        evenly(processes, 9),
    ]
    return [[batch] for batch in batches]


def micro_batches() -> list[Pieces]:
    """Batches in pieces one after the other: uneven, a modality missing in a piece, one sample."""
    pieces = [
        [Piece(0, 5), Piece(5, 12)],
        [Piece(0, 4), Piece(4, 5), Piece(5, 12)],
        [Piece(0, 6, "sound"), Piece(6, 12)],
        [Piece(0, 6), Piece(6, 12, "sound")],
        [Piece(0, 12)],
        [Piece(0, 4, "image"), Piece(4, 8, "image"), Piece(8, 12, "image")],
        [Piece(0, 6), Piece(6, 12)],
    ]
    return [[[piece] for piece in batch] for batch in pieces]


def both(processes: int) -> list[Pieces]:
    """Micro-batches in every process."""
    first, second = evenly(processes, 6), [Piece(a + 6, b + 6) for a, b, _ in evenly(processes, 5)]
    missing = [first[0]._replace(without="sound"), *first[1:]]
    return [[first, second], [missing, second], [second], [first, second], [second, missing], [first, second]]


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor], method: str) -> None:
    assert found.keys() == expected.keys(), method
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12, msg=f"{method}: {name}")


def work(rank: int, size: int) -> dict[str, dict[str, Tensor]]:
    found = {method: spread(rank, method, schedule(size)) for method in METHODS}
    return found | {f"{method}, micro-batches": spread(rank, method, both(size)) for method in METHODS}


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_get_the_update_of_the_whole_batch(processes: int, tmp_path: Path):
    every = together(work, processes, tmp_path)
    for method in METHODS:
        for name, steps in ((method, schedule(processes)), (f"{method}, micro-batches", both(processes))):
            assert_alike(every[0][name], whole(method, steps), name)
    for other in every[1:]:  # replicas never drift apart
        for method, values in other.items():
            assert all(torch.equal(value, every[0][method][name]) for name, value in values.items()), method


@pytest.mark.parametrize("method", METHODS)
def test_micro_batches_give_the_update_of_the_large_batch(method: str):
    assert_alike(spread(0, method, micro_batches()), whole(method, micro_batches()), method)


def test_adding_up_the_updates_of_micro_batches_is_something_else():
    """What ``accumulate`` is for: two calls of ``backward`` do not make the large batch's update."""
    network, balancer = made("mmpareto")
    for piece in (Piece(0, 6), Piece(6, 12)):
        balancer.backward(losses_of_piece(network, piece, 0))
    added = [p.grad / 2 for p in network.parameters()]
    other, balancer = made("mmpareto")
    balancer.accumulate(losses_of_piece(other, Piece(0, 6), 0))
    balancer.backward(losses_of_piece(other, Piece(6, 12), 0))
    gaps = [
        float((a - p.grad).norm() / p.grad.norm()) for a, p in zip(added, other.parameters(), strict=True)
    ]
    assert max(gaps) > 0.01


def test_accumulating_changes_nothing_and_is_forgotten_after_a_failure():
    network = PlainNetwork()
    balancer = UnimodalSum(network.partition())
    balancer.accumulate(losses_of(network, seed=1))
    assert all(p.grad is None for p in network.parameters())
    broken = {source: loss * float("nan") for source, loss in losses_of(network, seed=2).items()}
    with pytest.raises(NonFiniteError, match=r"losses\['fusion'\] must be finite"):
        balancer.backward(broken)
    balancer.backward(losses_of(network, seed=3))
    expected = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    UnimodalSum(network.partition()).backward(losses_of(network, seed=3))
    assert all(torch.equal(p.grad, e) for p, e in zip(network.parameters(), expected, strict=True))


@pytest.mark.parametrize("estimator", [PerSample(), Grouped(2)])
def test_variance_within_a_batch_needs_all_of_it(estimator):
    network = PlainNetwork()
    with pytest.raises(UnsuitableError, match=r"spread over micro-batches; found .*samples of one batch"):
        BOGC(network.partition(), estimator).accumulate(losses_of(network))


class Looking(JointTraining):
    """Looks at this process' own losses, and does not claim otherwise."""

    supports = ()


def test_a_method_that_is_not_exact_in_parts_is_refused_before_anything_is_changed():
    network = PlainNetwork()
    balancer = Looking(network.partition())
    message = (
        "must be exact on a batch that is spread over micro-batches; found Looking, which looks at more of it"
    )
    with pytest.raises(UnsuitableError, match=message):
        balancer.accumulate(losses_of(network))
    balancer.backward(losses_of(network))
    assert not CGGM.supports
    assert not Balancer.supports


def refused(rank: int, size: int) -> list[str]:
    """Messages of three calls that fail: in all processes, in one, and in the last step of one."""
    network = PlainNetwork()
    factor = float("nan") if rank else 1.0
    attempts = [
        (Looking(network.partition()), losses_of(network)),
        (JointTraining(network.partition()), losses_of(network) if rank else {}),
        (BOGC(network.partition(), Grouped(4)), losses_of(network, 1)),
        (
            JointTraining(network.partition()),
            {s: z * factor for s, z in losses_of(network).items()},
        ),
    ]
    found = []
    for balancer, losses in attempts:
        try:
            balancer.backward(losses)
        except BogcError as error:
            found.append(f"{type(error).__name__}: {error}")
        assert all(p.grad is None for p in network.parameters())
    alone = Looking(network.partition())
    alone.share_with(SingleProcess())
    alone.backward(losses_of(network, seed=rank))
    return found


def test_what_fails_in_one_process_fails_in_all(tmp_path: Path):
    first, second = together(refused, 2, tmp_path)
    assert all(
        "UnsuitableError: method must be exact on a batch that is spread over processes" in r[0]
        for r in (first, second)
    )
    assert first[1].startswith(f"{LossError.__name__}: losses must contain 'fusion'")
    assert second[1].startswith(
        f"{ProcessError.__name__}: process 0 must accept its part of the batch; found LossError"
    )
    assert first[2] == second[2]
    assert "estimator must be exact on a batch that is spread over processes; found Grouped" in first[2]
    assert first[3] == second[3]
    assert "losses['fusion'] must be finite" in first[3]


def test_a_view_without_a_team_is_the_whole_batch():
    network = PlainNetwork()
    losses = losses_of(network, 5)
    assert BatchView(losses, network.partition(), dict.fromkeys(losses, 5)).whole
