"""One problem spread over processes and micro-batches, and the same in one process on the whole batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from bogc.methods import Balancer
from tests.networks import PlainNetwork, batch

from .methods import METHODS


class Piece(NamedTuple):
    """A piece of a batch: samples ``first`` to ``last - 1``, without one modality's loss if it is named."""

    first: int
    last: int
    without: str | None = None


Pieces = list[list[Piece]]
"""Pieces of one batch: micro-batch by micro-batch, in each one for every process."""


def made(method: str) -> tuple[PlainNetwork, Balancer]:
    """A network, the same wherever it is made, and its balancer."""
    torch.manual_seed(0)
    network = PlainNetwork()
    return network, METHODS[method](network.partition())


def losses_of(network: PlainNetwork, piece: Piece, seed: int) -> dict[str, Tensor]:
    """Losses [n] of one piece of the batch of 12 that ``seed`` makes."""
    inputs, targets = batch(12, seed)
    present = {m: x[piece.first : piece.last] for m, x in inputs.items() if m != piece.without}
    logits = network(present)
    own = targets[piece.first : piece.last]
    return {s: torch.nn.functional.cross_entropy(z, own, reduction="none") for s, z in logits.items()}


def spread(rank: int, method: str, steps: list[Pieces]) -> dict[str, Tensor]:
    """Train in one of several processes; each passes its own pieces."""
    network, balancer = made(method)

    def step(pieces: Pieces, seed: int) -> dict[str, Tensor]:
        for part in pieces[:-1]:
            balancer.accumulate(losses_of(network, part[rank], seed))
        return balancer.backward(losses_of(network, pieces[-1][rank], seed)).losses

    return _train(network, balancer, steps, step)


def whole(method: str, steps: list[Pieces]) -> dict[str, Tensor]:
    """Train in this process, with all pieces in one call."""
    network, balancer = made(method)

    def step(pieces: Pieces, seed: int) -> dict[str, Tensor]:
        found = [losses_of(network, piece, seed) for part in pieces for piece in part]
        sources = [source for source in ("fusion", "image", "sound") if any(source in f for f in found)]
        losses = {s: torch.cat([f[s] for f in found if s in f]) for s in sources}
        return balancer.backward(losses).losses

    return _train(network, balancer, steps, step)


def _train(network: PlainNetwork, balancer: Balancer, steps: list[Pieces], step) -> dict[str, Tensor]:
    """Weights, last gradients, mean losses and what the balancer carries, after all steps."""
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.5)
    found: dict[str, Tensor] = {}
    for number, pieces in enumerate(steps):
        optimiser.zero_grad()
        losses = step(pieces, number)
        found |= {f"loss {number} {source}": loss for source, loss in losses.items()}
        optimiser.step()
    found |= {f"weight {name}": p.detach().clone() for name, p in network.named_parameters()}
    found |= {f"gradient {n}": p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
    return found | _tensors("state", balancer.state_dict()["state"])


def _tensors(path: str, value: object) -> dict[str, Tensor]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        return {k: v for name, item in value.items() for k, v in _tensors(f"{path} {name}", item).items()}
    if value is None:
        return {}
    return {path: torch.as_tensor(value, dtype=torch.float64)}
