"""A network whose gradients a check prescribes: what a balancer makes of them is seen in ``.grad``."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bogc.gradients import ModalityPartition
from bogc.methods import Balancer

Rows = dict[str, dict[str, Tensor]]
"""Source -> module -> gradients of its samples, [N, D]; a module that a source does not reach is absent."""


class Numbers(nn.Module):
    """Parameters of one layer, as tensors of some sizes or shapes, all zero."""

    def __init__(self, *sizes: int | tuple[int, ...]) -> None:
        super().__init__()
        zeros = [torch.zeros(size, dtype=torch.float64) for size in sizes]
        self.values = nn.ParameterList([nn.Parameter(zero) for zero in zeros])

    @property
    def flat(self) -> Tensor:
        """All of them in a row."""
        return torch.cat([p.flatten() for p in self.values])

    def taken(self) -> Tensor:
        """What a balancer left in ``.grad``, which is emptied."""
        found = torch.cat(
            [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self.values]
        )
        self.zero_grad(set_to_none=True)
        return found


class Prescribed:
    """Modules of numbers, one a modality, and losses that are linear in them.

    Args:
        sizes: Module -> sizes, or shapes, of its tensors.
    """

    def __init__(self, sizes: Mapping[str, Sequence[int | tuple[int, ...]]]) -> None:
        self.modules = {name: Numbers(*own) for name, own in sizes.items()}
        self.partition = ModalityPartition(dict(self.modules))

    def losses(self, rows: Rows, level: Mapping[str, float] | None = None) -> dict[str, Tensor]:
        """Losses [N] by source whose samples have these gradients, and whose values are ``level``."""
        return {
            source: sum(
                (own @ self.modules[name].flat for name, own in parts.items()), start=torch.tensor(0.0)
            )
            + (level or {}).get(source, 0.0)
            for source, parts in rows.items()
        }

    def step(self, balancer: Balancer, rows: Rows, *more: object, **level: float) -> dict[str, Tensor]:
        """Gradient [D] that the balancer gives each module."""
        balancer.backward(self.losses(rows, level), *more)
        return {name: module.taken() for name, module in self.modules.items()}


def random_rows(sizes: Mapping[str, int], dims: int, seed: int, modules: Sequence[str] = ("audio",)) -> Rows:
    """Gradients of samples off zero, for every source with its number of samples."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(count: int) -> Tensor:
        values = torch.randn(count + 1, dims, generator=generator, dtype=torch.float64)
        return values[:-1] + values[-1]

    return {source: {name: drawn(count) for name in modules} for source, count in sizes.items()}
