from itertools import pairwise

import pytest
import torch
from torch import nn

from bogc import ModalityPartition
from bogc.errors import RangeError
from bogc.methods import METHODS, TABLES
from paper_repro.bogc_mml.controls import (
    AVERAGED,
    PRECONDITIONED,
    TABLE,
    AveragedSum,
    PreconditionedSum,
    controls,
)


def network() -> tuple[nn.Linear, nn.Linear, ModalityPartition]:
    torch.manual_seed(0)
    one, fusion = nn.Linear(3, 2), nn.Linear(2, 2)
    return one, fusion, ModalityPartition({"a": [one]}, shared=[fusion])


def losses(one: nn.Linear, fusion: nn.Linear, seed: int) -> dict[str, torch.Tensor]:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    hidden = one(x)
    return {"fusion": fusion(hidden.tanh()).square().sum(1), "a": hidden.square().sum(1)}


def gradients(make, seeds: range) -> list[torch.Tensor]:
    """Flat gradient of each step; parameters stay as they are."""
    one, fusion, partition = network()
    balancer, found = make(partition), []
    for seed in seeds:
        one.zero_grad(), fusion.zero_grad()
        balancer.backward(losses(one, fusion, seed))
        found.append(torch.cat([p.grad.flatten() for p in (*one.parameters(), *fusion.parameters())]))
    return found


def plain(seeds: range) -> list[torch.Tensor]:
    one, fusion, _ = network()
    found = []
    for seed in seeds:
        one.zero_grad(), fusion.zero_grad()
        sum(loss.mean() for loss in losses(one, fusion, seed).values()).backward()
        found.append(torch.cat([p.grad.flatten() for p in (*one.parameters(), *fusion.parameters())]))
    return found


def test_the_average_is_that_of_the_definition():
    raw, decay = plain(range(6)), 0.8
    for step, found in enumerate(gradients(lambda p: AveragedSum(p, decay), range(6)), start=1):
        weights = torch.tensor([decay ** (step - 1 - i) for i in range(step)])
        expected = sum(w * g for w, g in zip(weights / weights.sum(), raw[:step], strict=True))
        torch.testing.assert_close(found, expected)


def test_the_preconditioned_sum_is_as_long_as_the_plain_one_and_shorter_where_noise_is_large():
    raw, found = plain(range(12)), gradients(PreconditionedSum, range(12))
    torch.testing.assert_close(found[0], raw[0])
    weight = slice(0, 6)  # of the encoder
    torch.testing.assert_close(found[-1][weight].norm(), raw[-1][weight].norm())
    squares = [(b - a).square() for a, b in pairwise(raw)]
    noise = squares[0]
    for square in squares[1:]:
        noise = 0.95 * noise + 0.05 * square
    own = noise[weight]
    ratio = (found[-1] / raw[-1])[weight] * (0.8 * own + 0.2 * own.mean()).sqrt()
    torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio))


@pytest.mark.parametrize("make", [lambda p: AveragedSum(p, 0.9), PreconditionedSum])
def test_a_control_goes_on_from_its_state(make):
    one, fusion, partition = network()
    first, second = make(partition), make(partition)
    for seed in range(3):
        first.backward(losses(one, fusion, seed))
    second.load_state_dict(first.state_dict())
    found = []
    for balancer in (first, second):
        one.zero_grad(), fusion.zero_grad()
        balancer.backward(losses(one, fusion, 9))
        found.append(one.weight.grad.clone())
    assert torch.equal(*found)


def test_controls_can_be_chosen_while_the_context_lasts_only():
    before = (list(METHODS), list(TABLES))
    with controls():
        assert {AVERAGED, PRECONDITIONED} <= METHODS.keys()
        assert TABLE in TABLES
    assert (list(METHODS), list(TABLES)) == before


def test_a_decay_of_one_is_refused():
    with pytest.raises(RangeError, match=r"decay must lie in \[0, 1\); found 1.0"):
        AveragedSum(network()[2], 1.0)
