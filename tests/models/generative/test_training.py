import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.errors import BogcError, ConfigError, DataError, DtypeError, NonFiniteError, RangeError
from bogc.models.generative import (
    MDRNN,
    FitProgress,
    MultimodalRBM,
    MultiPrediction,
    Objective,
    PerceptronCD,
    PersistentCD,
    Schedule,
    Sparsity,
    pretrain,
    train,
)
from bogc.models.generative.training import batches, momentum_step
from tests.models.generative.oracle import binary, deep, generator, machine


def test_published_values():
    schedule = Schedule()
    assert schedule.rate_at(1) == 0.01 / 1.005
    assert schedule.rate_at(300) == 0.01 / 2.5
    assert [schedule.momentum_at(epoch) for epoch in (1, 5, 6, 300)] == [0.33, 0.33, 0.47, 0.47]
    assert (schedule.epochs, schedule.batch_size, schedule.l2) == (300, 100, 1e-4)


def test_momentum_averages_the_steps():
    parameter, velocity = torch.zeros(2), torch.zeros(2)
    gradients = torch.randn(6, 2)
    for gradient in gradients:
        momentum_step([parameter], [gradient], [velocity], rate=0.1, momentum=0.4)
    weights = torch.tensor([sum(0.6 * 0.4**k for k in range(6 - i)) for i in range(6)])
    torch.testing.assert_close(parameter, -0.1 * weights @ gradients)


def test_a_constant_gradient_ends_in_plain_steps():
    parameter, velocity = torch.zeros(1), torch.zeros(1)
    for _ in range(60):
        before = parameter.clone()
        momentum_step([parameter], [torch.ones(1)], [velocity], rate=0.1, momentum=0.47)
    torch.testing.assert_close(before - parameter, torch.full((1,), 0.1))


@pytest.mark.parametrize(
    ("setting", "value", "rule"),
    [
        ("epochs", 0, "must be at least 1"),
        ("batch_size", 0, "must be at least 1"),
        ("rate", 0.0, "must be positive"),
        ("decay", -1.0, "must not be negative"),
        ("early_epochs", -1, "must not be negative"),
        ("l2", -1.0, "must not be negative"),
        ("early_momentum", 1.0, r"must lie in \[0, 1\)"),
        ("late_momentum", -0.1, r"must lie in \[0, 1\)"),
    ],
)
def test_refuses(setting: str, value: float, rule: str):
    with pytest.raises(RangeError, match=f"{setting} {rule}; found {value}"):
        Schedule(**{setting: value})


SHORT = Schedule(epochs=3, batch_size=8, rate=0.05)
OBJECTIVES = [PersistentCD(2, 10), PerceptronCD(2), MultiPrediction(2)]
each = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 99))
def test_batches_are_complete_and_disjoint(samples: int, size: int, seed: int):
    found = batches(samples, size, generator(seed), torch.device("cpu"))
    rows = torch.cat(found)
    assert len(rows.unique()) == len(rows) == (samples // size * size or samples)
    assert rows.max() < samples


@each
def test_one_seed_gives_one_result_and_another_seed_another(objective: Objective):
    def run(seed: int) -> torch.Tensor:
        network = MDRNN(machine(0, scale=0.1))
        train(network, binary(0, 40), objective, SHORT, generator(seed))
        return torch.nn.utils.parameters_to_vector(network.parameters())

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


@each
def test_precisions_agree(objective: Objective, device: torch.device):
    results = []
    for dtype in (torch.float64, torch.float32):
        network = MDRNN(machine(0, scale=0.1).to(device, dtype))
        data = {name: values.to(device, dtype) for name, values in binary(0, 40).items()}
        train(network, data, objective, SHORT, generator(5, device))
        results.append(torch.nn.utils.parameters_to_vector(network.parameters()).double())
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-4)


def test_a_step_is_gradient_decay_rate_and_momentum():
    network, data = MDRNN(machine(1)), binary(1, 6)
    objective = MultiPrediction(2, 0.0, Sparsity(0.0, 0.5))
    schedule = Schedule(epochs=1, batch_size=6, rate=0.5, decay=0.25, l2=0.1)
    step = objective.step(network, data, objective.start(network, None), generator(0))
    gradients = torch.autograd.grad(step.loss, list(network.parameters()))
    expected = [
        (p - 0.67 * 0.4 * (g + (0.1 * p if p.ndim == 2 else 0))).detach().clone()
        for p, g in zip(network.parameters(), gradients, strict=True)
    ]
    history = train(network, data, objective, schedule, generator(0))
    torch.testing.assert_close([p.detach() for p in network.parameters()], expected)
    torch.testing.assert_close(torch.tensor(history[0]), step.objective)


def test_weight_decay_spares_biases():
    network = MDRNN(machine(1))
    objective = MultiPrediction(0, 0.0, Sparsity(0.0, 0.5))
    with torch.no_grad():
        network.joint.hidden_bias.fill_(1000.0)  # saturated hidden units pass no gradient to weights below
    before = network.joint.hidden_bias.clone()
    train(network, binary(1, 8), objective, Schedule(epochs=1, batch_size=8, l2=0.5))
    assert torch.equal(network.joint.hidden_bias, before)


def test_listens_after_every_epoch():
    heard: list[FitProgress] = []
    history = train(deep(), binary(0, 16), PersistentCD(1, 4), SHORT, listen=heard.append, stage="top")
    assert [(p.stage, p.epoch, p.epochs) for p in heard] == [("top", 1, 3), ("top", 2, 3), ("top", 3, 3)]
    assert tuple(p.objective for p in heard) == history


def test_paths_are_held_unless_the_objective_says_otherwise():
    for objective, moved in ((PersistentCD(1, 4), False), (MultiPrediction(1), True)):
        network = deep()
        before = network.path("x")[0].hidden_bias.clone()
        train(network, binary(0, 16), objective, SHORT)
        assert torch.equal(network.path("x")[0].hidden_bias, before) is not moved


@pytest.mark.parametrize(
    ("data", "error", "found"),
    [
        ({"x": torch.ones(4, 4)}, DataError, r"must hold all of \['x', 'z'\]; found no \['z'\]"),
        (
            {name: values.float() for name, values in binary(0, 4).items()},
            DtypeError,
            "data and model must have one dtype",
        ),
    ],
)
def test_refuses_data_that_do_not_fit(data: dict, error: type[BogcError], found: str):
    network = MDRNN(machine(0))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(error, match=found):
        train(network, data, PersistentCD(1, 4), SHORT)
    torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0)


def test_divergence_is_said():
    with pytest.raises(NonFiniteError, match="parameters must stay finite; found NaN or infinity, epoch"):
        train(
            MDRNN(machine(0)),
            binary(0, 16),
            MultiPrediction(1),
            Schedule(epochs=50, batch_size=8, rate=1e308),
        )


TWO_EPOCHS = Schedule(epochs=2, batch_size=8, rate=0.05)
PCD = PersistentCD(1, 5, Sparsity(0.1, 0.1))


def test_builds_layers_from_the_data_upwards():
    heard: list[FitProgress] = []
    network = pretrain(binary(0, 24), {"x": [5, 2]}, 6, PCD, PCD, TWO_EPOCHS, generator(0), heard.append)
    assert [(layer.widths["x"], layer.hidden_units) for layer in network.path("x")] == [(4, 5), (5, 2)]
    assert network.joint.widths == {"x": 2, "z": 3}
    assert network.joint.hidden_units == 6
    assert [p.stage for p in heard] == ["x 1"] * 2 + ["x 2"] * 2 + ["joint"] * 2


def test_each_layer_is_an_rbm_trained_on_the_means_below():
    data, rng = binary(1, 24), generator(3)
    network = pretrain(data, {"x": [5], "z": [2]}, 6, PCD, PCD, TWO_EPOCHS, generator(3))
    tops = {}
    for name, width in (("x", 5), ("z", 2)):
        layer = MultimodalRBM.for_data({name: data[name]}, width, rng)
        train(MDRNN(layer), {name: data[name]}, PCD, TWO_EPOCHS, rng)
        torch.testing.assert_close(layer.state_dict(), network.path(name)[0].state_dict())
        tops[name] = torch.sigmoid(layer.hidden_logits({name: data[name]})).detach()
    joint = MultimodalRBM.for_data(tops, 6, rng)
    train(MDRNN(joint), tops, PCD, TWO_EPOCHS, rng)
    torch.testing.assert_close(joint.state_dict(), network.joint.state_dict())


def test_refuses_unfit_layers():
    with pytest.raises(ConfigError, match=r"layers must be of \['x', 'z'\]; found \['y'\]"):
        pretrain(binary(0, 8), {"y": [3]}, 4, PCD, PCD, TWO_EPOCHS)
    with pytest.raises(RangeError, match="x must have at least one unit a layer; found 0"):
        pretrain(binary(0, 8), {"x": [3, 0]}, 4, PCD, PCD, TWO_EPOCHS)
    with pytest.raises(RangeError, match="hidden must have at least one unit a layer; found 0"):
        pretrain(binary(0, 8), {}, 0, PCD, PCD, TWO_EPOCHS)
