import pytest
import torch

from bogc.calibration.pooled import gather, least_scatter, propose, scatter
from bogc.gradients import GradientMoments
from bogc.posterior import BlockPrior, FixedPrior


@pytest.mark.parametrize("policy", [BlockPrior(0.7, 0.1), FixedPrior(3.0)])
def test_it_proposes_what_the_policy_proposes_for_each_block(policy):
    generator = torch.Generator().manual_seed(0)
    states, slow_states = {}, {}
    names, sources = ["x", "y"], [["a", "b"], ["a", "c"]]
    for _ in range(3):
        drawn = torch.rand(2, 2, 2, 9, generator=generator, dtype=torch.float64)  # field, source, block, D
        ones = torch.ones(1, dtype=torch.float64)
        tables = gather(states, names, sources, drawn)
        square, noise = drawn[0].square().mean(-1), drawn[1].mean(-1)
        found, tables = propose(policy, square, noise, tables)
        states = scatter(tables, states, names, sources)
        for b, name in enumerate(names):
            for s, source in enumerate(sources[b]):
                moments = GradientMoments(drawn[0, s, b], drawn[1, s, b], ones, ones)
                prior, after = policy.propose(moments, slow_states.get((name, source), {}))
                slow_states[name, source] = after
                torch.testing.assert_close(found[s, b].view(1), prior.variance)
                assert states[name][source].keys() == after.keys()
                for key, value in after.items():
                    torch.testing.assert_close(states[name][source][key], value)


def test_a_source_that_was_not_seen_starts_from_nothing_and_others_are_kept():
    states = {"x": {"a": {"weight": torch.tensor([2.0])}, "other": {"weight": torch.tensor([5.0])}}}
    tables = gather(states, ["x", "y"], [["b", "a"], ["a", "b"]], torch.empty(0))
    assert tables["weight"].tolist() == [[[0.0], [0.0]], [[2.0], [0.0]]]
    after = scatter(tables, states, ["x", "y"], [["b", "a"], ["a", "b"]])
    assert after["x"]["other"] is states["x"]["other"]
    assert after["x"]["a"]["weight"].tolist() == [2.0]


@pytest.mark.parametrize("size", [0.0, 1e-40, 1.0, 1e9])
def test_the_floor_is_that_of_the_moments(size):
    values = size * torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    floored = GradientMoments(values, values, one, 7 * one).floored().scatter
    found = least_scatter(values.sum().view(1, 1), 3 * one, 7 * one.view(1, 1))
    torch.testing.assert_close(found[0], floored[:1], rtol=1e-12, atol=0)
