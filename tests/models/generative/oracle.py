"""Exact answers for tiny machines, by a table over every visible and hidden state."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from bogc.models.generative import MDRNN, MultimodalRBM

WIDTHS = {"x": 4, "z": 3}


def machine(seed: int = 0, widths: Mapping[str, int] = WIDTHS, hidden: int = 3, scale: float = 1.0):
    """A random RBM with weights and biases far from 0."""
    rbm = MultimodalRBM(widths, hidden)
    draws = torch.randn(sum(p.numel() for p in rbm.parameters()), generator=generator(seed))
    vector_to_parameters(scale * draws, rbm.parameters())
    return rbm


def deep(seed: int = 0, scale: float = 1.0) -> MDRNN:
    """Two layers below the joint one for x, none for z."""
    layers = [machine(seed + 1, {"x": 4}, 5, scale), machine(seed + 2, {"x": 5}, 2, scale)]
    return MDRNN(machine(seed, {"x": 2, "z": 3}, 3, scale), {"x": layers})


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def states(units: int) -> np.ndarray:
    return np.array(list(itertools.product([0.0, 1.0], repeat=units)))


def split(rows: np.ndarray, widths: Mapping[str, int] = WIDTHS) -> dict[str, Tensor]:
    """Joined rows -> modalities."""
    parts = np.split(rows, np.cumsum(list(widths.values()))[:-1], axis=1)
    return {name: torch.tensor(part) for name, part in zip(widths, parts, strict=True)}


def join(inputs: Mapping[str, Tensor]) -> np.ndarray:
    return torch.cat(list(inputs.values()), 1).numpy()


def binary(seed: int, samples: int, widths: Mapping[str, int] = WIDTHS) -> dict[str, Tensor]:
    rng = generator(seed)
    return {name: torch.randint(2, (samples, w), generator=rng).double() for name, w in widths.items()}


def weights_of_states(rbm: MultimodalRBM) -> np.ndarray:
    """sum_h exp(-E(v, h)) for every visible state v, each energy summed up unit by unit."""
    W = np.concatenate([rbm.weight(name).detach().numpy() for name in rbm.names])
    a = np.concatenate([rbm.visible_bias(name).detach().numpy() for name in rbm.names])
    c = rbm.hidden_bias.detach().numpy()
    visible, hidden = states(len(a)), states(len(c))
    energy = np.zeros((len(visible), len(hidden)))
    for i in range(len(a)):
        energy -= (visible[:, i] * a[i])[:, None]
        for j in range(len(c)):
            energy -= W[i, j] * np.outer(visible[:, i], hidden[:, j])
    for j in range(len(c)):
        energy -= hidden[None, :, j] * c[j]
    return np.exp(-energy).sum(1)


def nll(rbm: MultimodalRBM, data: Mapping[str, Tensor]) -> float:
    """Mean -log p(v) of binary data."""
    weights = weights_of_states(rbm)
    table = {tuple(v): w for v, w in zip(states(sum(rbm.widths.values())), weights, strict=True)}
    return float(np.mean([np.log(weights.sum() / table[tuple(row)]) for row in join(data)]))


def conditional(rbm: MultimodalRBM, row: np.ndarray, missing: str) -> tuple[np.ndarray, np.ndarray]:
    """Every state that agrees with ``row`` but in one modality, and its probability given the rest."""
    names = [name for name, width in rbm.widths.items() for _ in range(width)]
    observed = np.array([name != missing for name in names])
    visible = states(len(names))
    agrees = (visible[:, observed] == row[observed]).all(1)
    weights = weights_of_states(rbm)[agrees]
    return visible[agrees], weights / weights.sum()


def min_vi(rbm: MultimodalRBM, data: Mapping[str, Tensor]) -> float:
    """Mean over the data of the sum over modalities of -log p(modality | the others) (6.33)."""
    total = 0.0
    for row in join(data):
        for name in rbm.names:
            visible, p = conditional(rbm, row, name)
            total -= np.log(p[(visible == row).all(1)].item())
    return total / len(join(data))


def numeric_gradient(model: torch.nn.Module, value: Callable[[], float], step: float = 1e-5) -> Tensor:
    """Central differences in every parameter."""
    start = parameters_to_vector(model.parameters()).detach()
    slopes = []
    for i in range(len(start)):
        ends = []
        for sign in (1, -1):
            moved = start.clone()
            moved[i] += sign * step
            vector_to_parameters(moved, model.parameters())
            ends.append(value())
        slopes.append((ends[0] - ends[1]) / (2 * step))
    vector_to_parameters(start, model.parameters())
    return torch.tensor(slopes)


def gradient(model: torch.nn.Module, loss: Tensor) -> Tensor:
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()), materialize_grads=True)]
    )
