"""Weighted means of the posterior means mu = b g, one for each kind of weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bogc.calibration.accumulator import Accumulator, Source, State


class WeightedMean(Accumulator):
    """Sum of w mu with weights that sum to 1, so that of one source it is mu."""

    def only(self, source: Source) -> Tensor:
        """See the base class."""
        return source.belief * source.gradient


@dataclass(frozen=True)
class BeliefMean(WeightedMean):
    """Sum of b mu over sum of b, as RelativeBelief weighs; 0 where nobody believes anything."""

    def first(self, source: Source) -> State:
        """See the base class."""
        mean = (source.belief * source.gradient).mul_(source.belief)
        return mean, source.belief + torch.finfo(source.belief.dtype).tiny

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        total, belief = state
        mean = source.belief * source.gradient
        return total.addcmul_(mean, source.belief), belief.add_(source.belief)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        total, belief = self.add(state, last)
        return total.div_(belief)


@dataclass(frozen=True)
class EqualMean(WeightedMean):
    """Mean of mu, as EqualWeights weighs."""

    def first(self, source: Source) -> State:
        """See the base class."""
        return (source.belief * source.gradient,)

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        return (state[0].addcmul_(source.belief, source.gradient),)

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        return self.add(state, last)[0].div_(sources)


@dataclass(frozen=True)
class PrecisionMean(WeightedMean):
    """Sum of mu / v over sum of 1 / v, as PrecisionWeights weighs.

    Each 1 / v is taken relative to the least v so far: no precision overflows.
    """

    def first(self, source: Source) -> State:
        """See the base class."""
        variance = source.belief * source.noise
        return source.belief * source.gradient, torch.ones_like(variance), variance

    def add(self, state: State, source: Source) -> State:
        """See the base class."""
        total, weight, least = state
        variance = source.belief * source.noise
        smaller = torch.minimum(least, variance)
        old, new = smaller / least, smaller / variance
        weighed = (source.belief * source.gradient).mul_(new)
        return total.mul_(old).add_(weighed), weight.mul_(old).add_(new), smaller

    def finish(self, state: State, last: Source, sources: int) -> Tensor:
        """See the base class."""
        total, weight, _ = self.add(state, last)
        return total.div_(weight)
