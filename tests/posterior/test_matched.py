"""The matched route, and the Pyro program whose draws are those of a network's last layers."""

import pyro
import pytest
import torch
from hypothesis import given
from pyro import poutine
from torch import Tensor, nn
from torch.nn import functional

from bogc.gradients import ONE_BLOCK, Drawn, GradientMoments, ModalityPartition, Reevaluation
from bogc.gradients.closure import replaced
from bogc.posterior import GradientPosterior, GradientPrior, MatchedRoute
from bogc.posterior.program import pushed_forward

from .problems import problems


@given(problems())
def test_the_route_is_the_moments_as_they_are(case):
    moments, prior = case
    posterior = MatchedRoute()(moments, prior)
    assert torch.equal(posterior.loc, moments.mean)
    assert torch.equal(posterior.variance, moments.noise)


def test_its_mean_is_that_over_draws_where_there_were_any():
    moments = GradientMoments.from_variance(torch.zeros(3), torch.ones(3), 1, 7)
    route, drawn, prior = MatchedRoute(), torch.arange(3.0), GradientPrior.centred(torch.ones(1))
    assert torch.equal(route.posterior(moments, prior, {"drawn": drawn}, ONE_BLOCK).loc, drawn)
    assert torch.equal(route.posterior(moments, prior, {}, ONE_BLOCK).loc, moments.mean)
    assert route.aggregates == "batch-mean"


class TwoHeads:
    """An encoder of one bias and two softmax heads on what it gives."""

    def __init__(self) -> None:
        self.shift = nn.ParameterList([nn.Parameter(torch.randn(2))])
        self.heads = {name: nn.Linear(2, 3, bias=False) for name in ("fusion", "image")}
        self.inputs, self.targets = torch.randn(8, 2), torch.randint(3, (8,))
        self.partition = ModalityPartition(
            {"image": [self.shift, self.heads["image"]]}, shared=self.heads["fusion"]
        )

    def losses(self) -> dict[str, Tensor]:
        hidden = self.inputs + self.shift[0]
        return {
            name: functional.cross_entropy(head(hidden), self.targets, reduction="none")
            for name, head in self.heads.items()
        }

    def gradients(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradient of each source's mean loss in the shift, the heads being ``parameters``."""
        values = {self.heads[name].weight: value.view(3, 2) for name, value in parameters.items()}
        with replaced(values):
            return {
                name: torch.autograd.grad(loss.mean(), self.shift[0], retain_graph=True)[0]
                for name, loss in self.losses().items()
            }


def test_draws_of_a_network_have_the_moments_of_the_program():
    """Two samples of 3,000: differences of means and of mean squared deviations in units of their estimated
    standard errors. 8 comparisons at 5 of them (6e-7 each) fail together with probability 5e-6."""
    problem, draws = TwoHeads(), 3000
    again = Reevaluation(problem.losses, problem.partition)
    estimator = Drawn(draws, damping=2.0)
    scales = estimator.scales(again.losses, problem.partition)
    posteriors = {
        name: GradientPosterior(head.weight.detach().flatten(), scales[head.weight].square().flatten())
        for name, head in problem.heads.items()
    }
    rows: dict[str, list[Tensor]] = {name: [] for name in problem.heads}
    pyro.set_rng_seed(0)
    for _ in range(draws):
        trace = poutine.trace(pushed_forward).get_trace(posteriors, problem.gradients)
        for name, found in rows.items():
            found.append(trace.nodes[f"gradient_{name}"]["value"])
    groups = estimator.bound(again, 0).measure(again.losses, problem.partition, 1.0, {})
    for name, found in rows.items():
        (group,) = [g for g in groups if (name, "image.0") in g.layout.pairs]
        drawn, scatter = (group.layout.take(v)[name, "image.0"] for v in (group.drawn, group.scatter))
        program = torch.stack(found)
        squares = (program - program.mean(0)).square()
        for mine, theirs in ((drawn, program), (scatter / draws, squares)):
            error = (2 * theirs.var(0) / draws).sqrt()
            assert bool(((mine - theirs.mean(0)).abs() < 5 * error).all())


def test_the_program_has_a_site_a_layer_and_a_deterministic_one_a_source():
    problem = TwoHeads()
    posteriors = {name: GradientPosterior(torch.zeros(6), torch.ones(6)) for name in problem.heads}
    trace = poutine.trace(pushed_forward).get_trace(posteriors, problem.gradients)
    assert trace.stochastic_nodes == ["parameters_fusion", "parameters_image"]
    given = {name: trace.nodes[f"parameters_{name}"]["value"] for name in posteriors}
    for name, expected in problem.gradients(given).items():
        assert torch.equal(trace.nodes[f"gradient_{name}"]["value"], expected)
    assert trace.log_prob_sum().item() == pytest.approx(
        sum(p.log_prob(given[name]).item() for name, p in posteriors.items())
    )
