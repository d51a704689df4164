"""Contributions of the rows of a batch to the gradient of one parameter, in forms that need not be stored.

Row n of a layer's input adds g_n to the gradient. A form knows all g_n without holding them, and writes their
scatter, sum_n (g_n - mean)^2, given their mean. It writes into memory that is there, because at the size of
a gradient asking for new memory can cost more than the sum.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from jaxtyping import Float, Int
from torch import Tensor

CHUNK: Final = 1 << 19
"""Numbers held at a time where contributions have to be formed: 2 MiB in float32, about a level-2 cache."""

MOST_PAIRED: Final = 6
"""Positions up to which products of pairs are cheaper than forming contributions."""

SAFE_SPREAD: Final = 0.01
"""Least share of the variance in a mean square at which subtracting the squared mean is exact enough."""

SAFE_SPREAD_BFLOAT16: Final = 0.5
"""The same for products of bfloat16, whose rounding is 0.4 %."""


Rows = Callable[[slice], Tensor]
"""Gives a part of the rows, made when asked for."""


class Contributions(ABC):
    """The g_n of one parameter."""

    @abstractmethod
    def mean(self, out: Tensor) -> None:
        """Write the mean of all g_n to ``out``, in the shape of the parameter."""

    @abstractmethod
    def scatter(self, mean: Tensor, out: Tensor) -> None:
        """Write sum_n (g_n - mean)^2 to ``out``, in the shape of ``mean``, the mean of all g_n."""


@dataclass(frozen=True, eq=False)
class StoredRows(Contributions):
    """Contributions that are small enough to be there: of a bias, or of a norm's weight, [N, *shape]."""

    rows: Float[Tensor, "N ..."]

    def mean(self, out: Tensor) -> None:
        """See the base class."""
        torch.mean(self.rows, 0, dtype=out.dtype, out=out)

    def scatter(self, mean: Tensor, out: Tensor) -> None:
        """See the base class."""
        torch.sum((self.rows.to(mean.dtype) - mean).square_(), 0, out=out)


@dataclass(frozen=True, eq=False)
class OuterProducts(Contributions):
    """g_n = sum over positions of an output's gradient times the input that it met: linear layers.

    Attributes:
        delta: Gradients of the outputs, by group of channels and position.
        inputs: Inputs that met them, [n, G, L, K] for a part of the rows.
    """

    delta: Float[Tensor, "N G L O"]
    inputs: Rows

    def mean(self, out: Tensor) -> None:
        """See the base class."""
        count, groups, _, outputs = self.delta.shape
        found = out.view(groups, outputs, -1)
        x = self.inputs(slice(None))
        for group in range(groups):
            delta, met = self.delta[:, group].flatten(0, 1), x[:, group].flatten(0, 1)
            _product(delta, met, found[group], 1 / count)

    def scatter(self, mean: Tensor, out: Tensor) -> None:
        """See the base class; ``mean`` has G * O * K elements."""
        groups, positions, outputs = self.delta.shape[1:]
        shape = (groups, outputs, mean.numel() // (groups * outputs))
        grouped, found = mean.view(shape), out.view(shape)
        if groups == 1 and positions == 1:
            product_scatter(self.delta[:, 0, 0], self.inputs(slice(None))[:, 0, 0], grouped[0], found[0])
        elif groups == 1 and positions <= MOST_PAIRED and _spread(self.delta[:, 0]):
            paired_scatter(self.delta[:, 0], self.inputs(slice(None))[:, 0], grouped[0], found[0])
        else:
            formed_scatter(self.delta, self.inputs, grouped, found)


def product_scatter(
    delta: Float[Tensor, "N O"],
    x: Float[Tensor, "N K"],
    mean: Float[Tensor, "O K"],
    out: Float[Tensor, "O K"],
) -> None:
    """Scatter of delta_n x_n^T in one product of squares, or two where that would cancel.

    sum (delta x)^2 - N mean^2 loses digits where g_n hardly varies, for which delta has to vary little. Then,
    with x = c + e, c the mean of x, and delta = b + d, the same sum is that of (delta e + d c)^2, less
    N (mean - b c)^2. Asking which one is due would wait for a GPU, so only a CPU asks.
    """
    if _spread(delta):
        _product(delta.square(), x.to(delta.dtype).square(), out)
        out.addcmul_(mean, mean, value=-len(delta)).clamp_(min=0)
        return
    delta, x = delta.to(mean.dtype), x.to(mean.dtype)
    b, c = delta.mean(0), x.mean(0)
    d, e = delta - b, x - c
    torch.mm(delta.square().T, e.square(), out=out)
    out.addcmul_((delta * d).T @ e, c, value=2).addcmul_(d.square().sum(0).unsqueeze(1), c.square())
    rest = mean - b.unsqueeze(1) * c
    out.addcmul_(rest, rest, value=-len(delta)).clamp_(min=0)


def paired_scatter(
    delta: Float[Tensor, "N L O"],
    x: Float[Tensor, "N L K"],
    mean: Float[Tensor, "O K"],
    out: Float[Tensor, "O K"],
) -> None:
    """Scatter of sum_l delta_nl x_nl^T for few positions: the square of a sum is a sum over pairs."""
    delta, x = delta.to(mean.dtype), x.to(mean.dtype)
    first, second = torch.triu_indices(delta.shape[1], delta.shape[1], device=delta.device)
    twice = torch.where(first == second, 1.0, 2.0).to(delta.dtype).unsqueeze(1)
    left = (delta[:, first] * delta[:, second]).mul_(twice).flatten(0, 1)
    right = (x[:, first] * x[:, second]).flatten(0, 1)
    torch.mm(left.T, right, out=out)
    out.addcmul_(mean, mean, value=-len(delta)).clamp_(min=0)


def formed_scatter(
    delta: Float[Tensor, "N G L O"], inputs: Rows, mean: Float[Tensor, "G O K"], out: Float[Tensor, "G O K"]
) -> None:
    """Scatter of sum_l delta_nl x_nl^T by forming it, a few rows at a time, so nothing cancels."""
    out.zero_()
    positions, inside = delta.shape[2], mean.shape[2]
    size = min(len(delta), max(1, CHUNK // max(mean.numel(), positions * inside, 1)))
    formed = mean.new_empty(size, *mean.shape)
    for start in range(0, len(delta), size):
        part = slice(start, start + size)
        left = delta[part].to(mean.dtype)
        rows = formed[: len(left)]
        torch.matmul(left.transpose(-2, -1), inputs(part).to(mean.dtype), out=rows)
        rows.sub_(mean)
        if size == 1:
            out.addcmul_(rows[0], rows[0])
        else:
            out.add_(rows.square_().sum(0))


@dataclass(frozen=True, eq=False)
class Stacked(Contributions):
    """g_n of a parameter whose first axis is cut into as many equal pieces as there are ``parts``."""

    parts: Sequence[Contributions]

    def mean(self, out: Tensor) -> None:
        """See the base class."""
        for part, piece in zip(self.parts, out.chunk(len(self.parts)), strict=True):
            part.mean(piece)

    def scatter(self, mean: Tensor, out: Tensor) -> None:
        """See the base class."""
        pieces = (value.chunk(len(self.parts)) for value in (mean, out))
        for part, *piece in zip(self.parts, *pieces, strict=True):
            part.scatter(*piece)


@dataclass(frozen=True, eq=False)
class WordRows(Contributions):
    """g_n of a table of words: the output's gradient, added up wherever row n has the word.

    Attributes:
        words: Index of the word at each of T positions.
        delta: Gradients of the outputs there; zero at padding.
    """

    words: Int[Tensor, "N T"]
    delta: Float[Tensor, "N T E"]

    def mean(self, out: Float[Tensor, "V E"]) -> None:
        """See the base class."""
        out.zero_().index_add_(0, self.words.flatten(), self.delta.flatten(0, 1).to(out.dtype))
        out.div_(len(self.words))

    def scatter(self, mean: Float[Tensor, "V E"], out: Float[Tensor, "V E"]) -> None:
        """See the base class: rows that lack a word, and so add nothing to it, each give its mean squared."""
        count, size = len(self.words), len(mean)
        rows = torch.arange(count, device=mean.device).unsqueeze(1)
        keys, order = (rows * size + self.words).flatten().sort()
        starts = torch.ones_like(keys)
        starts[1:] = keys[1:] != keys[:-1]
        segment = starts.cumsum(0) - 1  # one a word and row, numbered without asking how many there are
        words = torch.zeros_like(keys).scatter_(0, segment, keys % size)
        used = torch.zeros_like(keys).scatter_(0, segment, 1).to(mean.dtype)
        delta = self.delta.flatten(0, 1)[order].to(mean.dtype)
        sums = torch.zeros_like(delta).index_add_(0, segment, delta)
        deviations = (sums - mean[words]).square_().mul_(used.unsqueeze(1))
        lacking = count - mean.new_zeros(size).index_add_(0, words, used)
        torch.mul(mean.square(), lacking.unsqueeze(1), out=out)
        out.index_add_(0, words, deviations)


def _product(delta: Tensor, x: Tensor, out: Tensor, factor: float = 1.0) -> None:
    """Write delta^T x times a factor, multiplied in bfloat16 if autocast made the gradient in it."""
    if delta.dtype == torch.bfloat16:
        out.copy_(delta.T @ x.to(torch.bfloat16)).mul_(factor)
    else:
        torch.addmm(out, delta.to(out.dtype).T, x.to(out.dtype), beta=0, alpha=factor, out=out)


def _spread(delta: Float[Tensor, "N *L O"]) -> bool:
    """Whether every output's gradient varies enough over rows; False on a GPU, which is not asked."""
    if delta.device.type != "cpu":
        return False
    least = SAFE_SPREAD if delta.dtype != torch.bfloat16 else SAFE_SPREAD_BFLOAT16
    wide = delta.to(torch.promote_types(delta.dtype, torch.float32))
    squares, about = wide.square().sum(0), wide.sum(0).square_()  # the latter: N^2 times the squared mean
    if squares.ndim > 1:
        squares, about = squares.sum(0), about.sum(0)
    return bool((about <= (1 - least) * len(delta) * squares).all())
