"""BOGC against the slow oracle: the whole history, dimension by dimension, over 30 steps of training."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from bogc.methods import BOGC
from bogc.mini import MiniBOGC
from tests.networks import PlainNetwork, RichNetwork, gradients_of, losses_of
from tests.oracles import calibration as oracle

STEPS = 30


class Case(NamedTuple):
    network: type = PlainNetwork
    samples: int | None = None
    sizes: tuple[int, ...] = (12,)
    absent: tuple[str | None, ...] = (None,)
    shorter: int = 0

    def losses(self, network: torch.nn.Module, step: int) -> dict[str, Tensor]:
        """Losses of one step: of some size, perhaps without a modality, perhaps fewer samples with sound."""
        size, without = self.sizes[step % len(self.sizes)], self.absent[step % len(self.absent)]
        losses = losses_of(network, size, step, without)
        if self.shorter and "sound" in losses:
            losses["sound"] = losses["sound"][: self.shorter]
        return losses


CASES = {
    "plain": Case(),
    "rich": Case(RichNetwork),
    "size of the training set known": Case(samples=300),
    "batches of several sizes": Case(sizes=(12, 7, 12, 1, 20)),
    "a modality absent at times": Case(absent=(None, None, "sound", None, "image", "image", None)),
    "a modality that comes late": Case(absent=("sound",) * 12 + (None,) * 18),
    "fewer samples of one source": Case(shorter=5),
    "all of it": Case(samples=99, sizes=(12, 9), absent=(None, None, "sound"), shorter=4),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_default_equals_the_slow_oracle_over_steps(case: Case):
    network = case.network()
    partition = network.partition()
    balancer = BOGC(partition, samples=case.samples)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.2)
    constants = oracle.Constants(samples=case.samples)
    histories: dict[str, dict[str, oracle.History]] = {block.name: {} for block in partition.blocks}
    for step in range(STEPS):
        optimiser.zero_grad()
        expected = by_oracle(partition.blocks, case.losses(network, step), histories, constants)
        balancer.backward(case.losses(network, step))
        for block in partition.blocks:
            found = [p.grad for p in block.parameters]
            if expected[block.name] is None:
                assert found == [None] * len(found)
                continue
            flat = torch.cat([g.flatten() for g in found])
            wanted = torch.tensor(expected[block.name])
            size = wanted.abs().max().item()
            torch.testing.assert_close(flat, wanted, rtol=1e-9, atol=1e-9 * size, msg=f"{step} {block.name}")
        optimiser.step()


def by_oracle(blocks, losses, histories, constants) -> dict[str, list[float] | None]:
    found = {}
    for block in blocks:
        gradients = {}
        for source, loss in losses.items():
            parts = torch.autograd.grad(loss.mean(), block.parameters, retain_graph=True, allow_unused=True)
            if any(g is not None for g in parts):
                pairs = zip(parts, block.parameters, strict=True)
                rows = [torch.zeros_like(p) if g is None else g for g, p in pairs]
                gradients[source] = torch.cat([row.flatten() for row in rows]).tolist()
        counts = {source: len(loss) for source, loss in losses.items()}
        found[block.name] = (
            oracle.update(histories[block.name], gradients, counts, constants) if gradients else None
        )
    return found


@pytest.mark.parametrize("kind", [PlainNetwork, RichNetwork])
def test_the_method_on_one_page_is_the_method(kind):
    network = kind()
    partition = network.partition()
    balancer, mini = BOGC(partition), MiniBOGC([list(block.parameters) for block in partition.blocks])
    optimiser = torch.optim.SGD(network.parameters(), lr=0.2)
    for step in range(12):
        optimiser.zero_grad()
        mini.backward(losses_of(network, seed=step))
        expected = {name: gradient.clone() for name, gradient in gradients_of(network).items()}
        optimiser.zero_grad()
        balancer.backward(losses_of(network, seed=step))
        found = gradients_of(network)
        assert found.keys() == expected.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12, msg=name)
        optimiser.step()
