import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy, softplus

from bogc.belief import DirichletBelief, Evidence, Opinion
from bogc.combination.reduced import combine
from paper_repro.tmc_handwritten.classifiers import (
    CLASSES,
    ConcatenationClassifier,
    TrustedClassifier,
    fused_concentration,
)

FEATURES = {"a": 3, "b": 2, "c": 4}


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return {view: torch.randn(5, size, dtype=torch.float32) for view, size in FEATURES.items()}


@given(st.lists(st.lists(st.floats(0, 40), min_size=3, max_size=3), min_size=2, max_size=4))
def test_fused_belief_is_dempsters_by_enumeration(evidence: list[list[float]]):
    """Every choice of a class or ignorance by each view; what agrees is kept and normalised."""
    values = torch.tensor(evidence).unsqueeze(1)
    views = DirichletBelief.from_evidence(Evidence(values, 3.0))
    found = fused_concentration(Opinion.from_dirichlet(views), 3)[0]
    mass = [0.0] * 4
    for choice in itertools.product(range(4), repeat=len(evidence)):
        named = {c for c in choice if c < 3}
        if len(named) < 2:
            share = math.prod((*e, 3.0)[c] / (sum(e) + 3) for e, c in zip(evidence, choice, strict=True))
            mass[named.pop() if named else 3] += share
    expected = [3 * mass[k] / mass[3] + 1 for k in range(3)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-9, atol=1e-9)


def test_beliefs_are_what_the_checked_constructors_accept(inputs: dict[str, torch.Tensor]):
    model = TrustedClassifier(FEATURES, 50)
    beliefs = model.beliefs(inputs)
    assert beliefs.concentration.shape == (4, 5, CLASSES)
    assert beliefs.concentration.dtype == torch.float32
    DirichletBelief(beliefs.concentration, beliefs.prior_weight, beliefs.base_rate)
    layers = dict(model.layers.items())
    for i, view in enumerate(FEATURES):
        expected = softplus(layers[view](inputs[view])) + 1
        torch.testing.assert_close(beliefs.concentration[i], expected)
    opinions = [
        Opinion.from_dirichlet(DirichletBelief(beliefs.concentration[i], 10.0, beliefs.base_rate))
        for i in range(3)
    ]
    fused = combine(opinions).to_dirichlet(10.0)
    torch.testing.assert_close(beliefs.concentration[-1], fused.concentration)
    torch.testing.assert_close(model.scores(inputs), fused.concentration)


def test_every_view_gets_a_gradient_through_the_fusion(inputs: dict[str, torch.Tensor]):
    model = TrustedClassifier(FEATURES, 50)
    model.scores(inputs)[:, 0].sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_gradient_of_the_fusion_is_that_of_finite_differences():
    def fuse(values: torch.Tensor) -> torch.Tensor:
        views = DirichletBelief.from_evidence(Evidence.unchecked(values=values, prior_weight=3.0))
        return fused_concentration(Opinion.from_dirichlet(views), 3)

    values = torch.rand(3, 2, 3).mul(5).add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(fuse, values)


def test_much_evidence_stays_finite():
    model = TrustedClassifier(FEATURES, 1)
    inputs = {view: torch.full((2, size), 50.0, dtype=torch.float32) for view, size in FEATURES.items()}
    for layer in model.layers.values():
        torch.nn.init.constant_(layer.weight, 1.0)
    loss = model.loss(inputs, torch.tensor([0, 1]), epoch=0)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_order_of_views_hardly_matters(inputs: dict[str, torch.Tensor]):
    model = TrustedClassifier(FEATURES, 50)
    reversed_model = TrustedClassifier(dict(reversed(FEATURES.items())), 50)
    reversed_model.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.scores(inputs), reversed_model.scores(inputs), rtol=1e-4, atol=1e-4)


def test_loss_weighs_misleading_evidence_more_as_epochs_pass(inputs: dict[str, torch.Tensor]):
    model, targets = TrustedClassifier(FEATURES, 4), torch.tensor([0, 1, 2, 3, 4])
    losses = [model.loss(inputs, targets, epoch).item() for epoch in range(5)]
    assert losses[:4] == sorted(losses[:4])
    assert losses[0] < losses[3] == losses[4]


def test_concatenation_is_one_network_on_all_features(inputs: dict[str, torch.Tensor]):
    model = ConcatenationClassifier(FEATURES, hidden=7)
    assert model.scores(inputs).shape == (5, CLASSES)
    targets = torch.tensor([0, 1, 2, 3, 4])
    loss = model.loss(inputs, targets, epoch=3)
    torch.testing.assert_close(loss, cross_entropy(model.scores(inputs), targets))
    for view in FEATURES:
        changed = {**inputs, view: inputs[view] + 1}
        assert not torch.allclose(model.scores(changed), model.scores(inputs))
