"""Contributions of the rows of a batch to the gradient of one parameter, in forms that need not be stored.

Row n of a layer's input adds g_n to the gradient. A form knows all g_n without holding them, and writes their
mean and their scatter, sum_n (g_n - mean)^2, into memory that is there.
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
    def write(self, mean: Tensor, scatter: Tensor) -> None:
        """Write the mean of all g_n, and sum_n (g_n - mean)^2, both in the shape of the parameter."""


@dataclass(frozen=True, eq=False)
class StoredRows(Contributions):
    """Contributions that are small enough to be there: of a bias, or of a norm's weight, [N, *shape]."""

    rows: Float[Tensor, "N ..."]

    def write(self, mean: Tensor, scatter: Tensor) -> None:
        """See the base class."""
        rows = self.rows.to(mean.dtype)
        torch.mean(rows, 0, out=mean)
        torch.sum((rows - mean).square_(), 0, out=scatter)


@dataclass(frozen=True, eq=False)
class OuterProducts(Contributions):
    """g_n = sum over positions of an output's gradient times the input that it met: linear layers.

    Attributes:
        delta: Gradients of the outputs, by group of channels and position.
        inputs: Inputs that met them, [n, G, L, K] for a part of the rows.
    """

    delta: Float[Tensor, "N G L O"]
    inputs: Rows

    def write(self, mean: Tensor, scatter: Tensor) -> None:
        """See the base class; both have G * O * K elements."""
        groups, positions, outputs = self.delta.shape[1:]
        shape = (groups, outputs, mean.numel() // (groups * outputs))
        grouped, found = mean.view(shape), scatter.view(shape)
        spread = positions <= MOST_PAIRED and _spread(self.delta[:, 0])
        if groups > 1 or positions == 0 or (positions > 1 and not spread):
            formed_moments(self.delta, self.inputs, grouped, found)
            return
        delta, x = self.delta[:, 0], self.inputs(slice(None))[:, 0]
        if not spread:
            delta = delta.to(mean.dtype)
        _product(delta.flatten(0, 1), x.flatten(0, 1), grouped[0], 1 / len(delta))
        if positions > 1:
            paired_scatter(delta, x, grouped[0], found[0])
        else:
            form = squares_scatter if spread else centred_scatter
            form(delta[:, 0], x[:, 0], grouped[0], found[0])


def squares_scatter(
    delta: Float[Tensor, "N O"],
    x: Float[Tensor, "N K"],
    mean: Float[Tensor, "O K"],
    out: Float[Tensor, "O K"],
) -> None:
    """Scatter of delta_n x_n^T in one product of squares: sum (delta x)^2 - N mean^2.

    It loses digits where g_n hardly varies, for which delta has to vary little. Asking whether it does would
    wait for a GPU, so only a CPU asks.
    """
    _product(delta.square(), x.to(delta.dtype).square(), out)
    out.addcmul_(mean, mean, value=-len(delta)).clamp_(min=0)


def centred_scatter(
    delta: Float[Tensor, "N O"],
    x: Float[Tensor, "N K"],
    mean: Float[Tensor, "O K"],
    out: Float[Tensor, "O K"],
) -> None:
    """Scatter of delta_n x_n^T in two products, in which nothing large cancels.

    With x = c + e, c the mean of x, and delta = b + d it is the sum of (delta e + d c)^2, less
    N (mean - b c)^2.
    """
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


def formed_moments(
    delta: Float[Tensor, "N G L O"],
    inputs: Rows,
    mean: Float[Tensor, "G O K"],
    scatter: Float[Tensor, "G O K"],
) -> None:
    """Mean and scatter of sum_l delta_nl x_nl^T by forming it, a few rows at a time.

    Deviations are taken from the mean of the first rows, so that hardly anything cancels.
    """
    positions, inside = delta.shape[2], mean.shape[2]
    size = min(len(delta), max(1, CHUNK // max(mean.numel(), positions * inside, 1)))
    formed, total = mean.new_empty(size, *mean.shape), torch.zeros_like(mean)
    scatter.zero_()
    for start in range(0, len(delta), size):
        left = delta[start : start + size].to(mean.dtype)
        rows = formed[: len(left)]
        met = inputs(slice(start, start + size)).to(mean.dtype)
        torch.matmul(left.transpose(-2, -1), met, out=rows)
        if start == 0:
            torch.mean(rows, 0, out=mean)
        rows.sub_(mean)
        if size == 1:
            total.add_(rows[0])
            scatter.addcmul_(rows[0], rows[0])
        else:
            total.add_(rows.sum(0))
            scatter.add_(rows.square_().sum(0))
    total.div_(len(delta))
    mean.add_(total)
    scatter.addcmul_(total, total, value=-len(delta)).clamp_(min=0)


@dataclass(frozen=True, eq=False)
class Stacked(Contributions):
    """g_n of a parameter whose first axis is cut into as many equal pieces as there are ``parts``."""

    parts: Sequence[Contributions]

    def write(self, mean: Tensor, scatter: Tensor) -> None:
        """See the base class."""
        pieces = (value.chunk(len(self.parts)) for value in (mean, scatter))
        for part, *piece in zip(self.parts, *pieces, strict=True):
            part.write(*piece)


@dataclass(frozen=True, eq=False)
class WordRows(Contributions):
    """g_n of a table of words: the output's gradient, added up wherever row n has the word.

    Attributes:
        words: Index of the word at each of T positions.
        delta: Gradients of the outputs there; zero at padding.
    """

    words: Int[Tensor, "N T"]
    delta: Float[Tensor, "N T E"]

    def write(self, mean: Float[Tensor, "V E"], scatter: Float[Tensor, "V E"]) -> None:
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
        mean.zero_().index_add_(0, words, sums).div_(count)
        deviations = (sums - mean[words]).square_().mul_(used.unsqueeze(1))
        lacking = count - mean.new_zeros(size).index_add_(0, words, used)
        torch.mul(mean.square(), lacking.unsqueeze(1), out=scatter)
        scatter.index_add_(0, words, deviations)


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
