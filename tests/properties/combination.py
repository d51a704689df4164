"""What every rule that fuses opinions must satisfy, one assertion a theorem."""

from collections.abc import Callable, Sequence
from itertools import permutations

import torch

from bogc.belief import MassFunction, Opinion

Rule = Callable[[Sequence[Opinion]], Opinion]


def assert_same_opinion(found: Opinion, expected: Opinion, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(found.belief, expected.belief, rtol=0, atol=tolerance)
    torch.testing.assert_close(found.uncertainty, expected.uncertainty, rtol=0, atol=tolerance)


def assert_commutative(rule: Rule, opinions: Sequence[Opinion]) -> None:
    for order in list(permutations(opinions))[::3]:
        assert_same_opinion(rule(order), rule(opinions))


def assert_associative(rule: Rule, opinions: Sequence[Opinion]) -> None:
    for cut in range(1, len(opinions)):
        assert_same_opinion(rule([rule(opinions[:cut]), rule(opinions[cut:])]), rule(opinions))


def assert_vacuous_neutral(rule: Rule, opinion: Opinion) -> None:
    vacuous = Opinion(0 * opinion.belief, opinion.uncertainty.new_ones(()), opinion.base_rate)
    assert_same_opinion(rule([opinion, vacuous]), opinion)
    assert_same_opinion(rule([vacuous, opinion]), opinion)


def assert_uncertainty_never_grows(rule: Rule, opinions: Sequence[Opinion]) -> None:
    least = torch.stack([opinion.uncertainty for opinion in opinions]).amin(0)
    assert bool((rule(opinions).uncertainty <= least * (1 + 1e-12)).all())


def assert_passes_the_check(opinion: Opinion) -> None:
    Opinion(opinion.belief, opinion.uncertainty, opinion.base_rate)


def assert_batch_is_elementwise(rule: Rule, opinions: Sequence[Opinion]) -> None:
    """Fusing a batch [B, K] fuses each of its rows."""
    fused = rule(opinions)
    for row in range(len(fused.belief)):
        alone = [Opinion(o.belief[row], o.uncertainty[row], o.base_rate) for o in opinions]
        single = rule(alone)
        assert_same_opinion(Opinion(fused.belief[row], fused.uncertainty[row], fused.base_rate), single)


def masses(opinions: Sequence[Opinion]) -> list[MassFunction]:
    return [MassFunction.from_opinion(opinion) for opinion in opinions]
