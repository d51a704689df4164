"""Functions of all sources in a dimension that take them one by one, so that few tensors live at once."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]


class Source(NamedTuple):
    """One source in some dimensions; the tensors broadcast.

    Attributes:
        gradient: g, the mean over the batch.
        noise: Twice the variance of g as an estimate, positive.
        scale: 2 tau^2.
        belief: b = scale / (scale + noise).
    """

    gradient: Tensor
    noise: Tensor
    scale: Tensor
    belief: Tensor

    @classmethod
    def of(
        cls, gradient: Tensor, scatter: Tensor, floor: Tensor, per_scatter: Tensor, scale: Tensor
    ) -> "Source":
        """From moments: noise is ``per_scatter`` times the scatter, which counts as ``floor`` at least."""
        noise = torch.maximum(scatter, floor).mul_(per_scatter)
        return cls(gradient, noise, scale, scale / (noise + scale))

    def odds(self) -> Tensor:
        """r = b / u up to 8 / eps, where u no longer shows beside 1; products of it do not overflow."""
        return (self.scale / self.noise).clamp_max_(8 / torch.finfo(self.noise.dtype).eps)

    def score(self) -> Tensor:
        """Return mu / sqrt(2 v), of which erf is P(g > 0) - P(g < 0); noise and scale are doubled for it."""
        return (self.noise / self.belief).rsqrt_().mul_(self.gradient)


class Accumulator(ABC):
    """A function of the sources, invariant to their order."""

    @abstractmethod
    def only(self, source: Source) -> Tensor:
        """Value of one source alone; may be one of its tensors."""

    @abstractmethod
    def first(self, source: Source) -> State:
        """State after one source of several."""

    @abstractmethod
    def add(self, state: State, source: Source) -> State:
        """State after one more. May change the tensors of ``state``, which are its own."""

    @abstractmethod
    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """Value after the last source, in a tensor of its own. May change those of ``state``."""
