"""Weighted means of what is aggregated, mu = b g or g itself, one for each kind of weights."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.calibration.accumulator import Accumulator, Source, State

Value = Callable[[Source], Tensor]


def posterior_mean(source: Source) -> Tensor:
    """mu = b g."""
    return source.belief * source.gradient


def batch_mean(source: Source) -> Tensor:
    """g, the tensor that the source has."""
    return source.gradient


@dataclass(frozen=True)
class WeightedMean(Accumulator):
    """Sum of w times a value, with weights that sum to 1, so that of one source it is its value."""

    value: Value = posterior_mean

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return self.value(source)


@dataclass(frozen=True)
class BeliefMean(WeightedMean):
    """Sum of b times the value over sum of b, as RelativeBelief weighs; 0 where nobody believes anything."""

    def first(self, source: Source) -> State:
        """See the base class."""
        return self.value(source) * source.belief, source.belief + torch.finfo(source.belief.dtype).tiny

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        total, belief = state
        return total.addcmul_(self.value(source), source.belief), belief.add_(source.belief)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        total, belief = self.add(state, last)
        return total.div_(belief)


@dataclass(frozen=True)
class EqualMean(WeightedMean):
    """Mean of the values, as EqualWeights weighs."""

    def first(self, source: Source) -> State:
        """See the base class."""
        return (self.value(source).clone(),)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        return (state[0].add_(self.value(source)),)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        return self.add(state, last)[0].div_(sources)


@dataclass(frozen=True)
class PrecisionMean(WeightedMean):
    """Sum of the value / v over sum of 1 / v, as PrecisionWeights weighs.

    Each 1 / v is taken relative to the least v so far: no precision overflows.
    """

    def first(self, source: Source) -> State:
        """See the base class."""
        variance = source.belief * source.noise
        return self.value(source).clone(), torch.ones_like(variance), variance

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        total, weight, least = state
        variance = source.belief * source.noise
        smaller = torch.minimum(least, variance)
        old, new = smaller / least, smaller / variance
        weighed = self.value(source) * new
        return total.mul_(old).add_(weighed), weight.mul_(old).add_(new), smaller

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        total, weight, _ = self.add(state, last)
        return total.div_(weight)
