import pytest
import torch
from torch import Tensor, nn

from bogc.balancing import BOGC
from bogc.gradients import ModalityPartition, Streaming
from bogc.posterior import FixedPrior
from paper_repro.gradient_uncertainty.judging import judge
from paper_repro.gradient_uncertainty.table import ESTIMATORS
from paper_repro.gradient_uncertainty.watching import Watch, infer, watched_dimensions
from tests.paper_repro.gradient_uncertainty.made import truth_of


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4, bias=False), nn.Linear(3, 4, bias=False)
        self.head = nn.Linear(8, 3, bias=False)

    def losses(self) -> dict[str, Tensor]:
        x, y = torch.randn(16, 3), torch.randn(16, 3)
        a, b = self.first(x).tanh(), self.second(y).tanh()
        fused = self.head(torch.cat([a, b], 1))
        return {
            "fusion": fused.square().sum(1),
            "a": (a - 1).square().sum(1),
            "b": (b + x.sum(1, keepdim=True)).square().sum(1),
        }


def made() -> tuple[Network, ModalityPartition]:
    network = Network()
    return network, ModalityPartition({"a": network.first, "b": network.second}, shared=[network.head])


def test_small_layers_repeat_their_dimensions():
    _, partition = made()
    drawn = watched_dimensions(partition.blocks, 18)
    assert {name: len(positions) for name, positions in drawn.items()} == {"a": 18, "b": 18, "shared": 18}
    assert drawn["a"][:12].sort()[0].tolist() == list(range(12))
    assert torch.equal(drawn["a"][12:], drawn["a"][:6])
    assert torch.equal(drawn["a"], watched_dimensions(partition.blocks, 18)["a"])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_it_reads_what_the_estimator_says(name: str):
    network, partition = made()
    watch = Watch(partition.blocks, watched_dimensions(partition.blocks, 5))
    for _ in range(7):
        watch.follow(network.losses(), near=False)
    losses = network.losses()
    gradients = watch.gradients(losses)
    found = watch.read(losses, name)
    torch.testing.assert_close(found.mean, gradients)
    for row, (block, source) in enumerate(watch.pairs):
        estimates = ESTIMATORS[name].estimate(losses, partition.blocks, watch.streams.get(name, {}))
        moments = estimates[source].moments[block]
        torch.testing.assert_close(found.variance[row], moments.variance[watch.positions[block]])


def test_the_reference_is_what_bogc_computes():
    network, partition = made()
    balancer = BOGC(partition, Streaming())
    watch = Watch(partition.blocks, watched_dimensions(partition.blocks, 12))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    for _ in range(10):
        losses = network.losses()
        state = dict(watch.priors)
        observed = None
        if watch.streams.get("streaming 0.9", {}).get("fusion", {}):
            watch.gradients(losses)
            observed = _read(watch, losses)
        optimiser.zero_grad()
        info = balancer.backward(losses)
        watch.follow(losses, near=True)
        optimiser.step()
    assert observed is not None
    choice = ("streaming 0.9", "block", "normal")
    truth = truth_of(torch.zeros_like(observed.mean), torch.ones_like(observed.mean))
    judged = judge(choice, observed, state[choice], truth)
    for row, (block, source) in enumerate(watch.pairs):
        if block == "a":  # the layer whose dimensions are watched all, once
            opinion = info.blocks[block].opinions[source]
            torch.testing.assert_close(
                judged.opinion.uncertainty[row], opinion.uncertainty[watch.positions[block]]
            )
            torch.testing.assert_close(
                judged.posterior.loc[row], info.blocks[block].posteriors[source].loc[watch.positions[block]]
            )


def _read(watch: Watch, losses: dict[str, Tensor]):
    try:
        return watch.read(losses, "streaming 0.9")
    except KeyError:
        return None


def test_reading_remembers_nothing():
    network, partition = made()
    watch = Watch(partition.blocks, watched_dimensions(partition.blocks, 5))
    for _ in range(6):
        watch.follow(network.losses(), near=False)
    losses = network.losses()
    watch.gradients(losses)
    first, second = (watch.read(losses, "streaming 0.99") for _ in range(2))
    assert torch.equal(first.variance, second.variance)
    assert watch.priors == {}


def test_priors_are_followed_near_a_stop_and_forgotten_after():
    network, partition = made()
    watch = Watch(partition.blocks, watched_dimensions(partition.blocks, 5))
    watch.follow(network.losses(), near=True)
    assert ("per-sample", "dimension", "nig") in watch.priors
    assert ("streaming 0.9", "block", "normal") not in watch.priors  # no variance yet
    watch.forget_priors()
    assert watch.priors == {}


def test_infer_is_prior_then_posterior():
    network, partition = made()
    watch = Watch(partition.blocks, watched_dimensions(partition.blocks, 5))
    losses = network.losses()
    watch.gradients(losses)
    moments = watch.read(losses, "per-sample")
    prior, posterior = infer(FixedPrior(2.0), "normal", moments, {})
    noise = moments.floored().noise
    torch.testing.assert_close(posterior.variance, 1 / (1 / prior.variance + 1 / noise))
