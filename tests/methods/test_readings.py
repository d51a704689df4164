"""The two readings of the method: presets by name; the reading laplace against its formulas, end to end."""

import copy
import io
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.belief import EVIDENCE_MAPS, FRAMES, MassFunction
from bogc.calibration import MatchEachBlock, Unscaled
from bogc.combination import dempster
from bogc.errors import (
    ConfigError,
    FrameError,
    LossError,
    NonFiniteError,
    RangeError,
    StateError,
    UnsuitableError,
)
from bogc.gradients import ESTIMATORS, Drawn, ModalityPartition
from bogc.methods import BOGC, READINGS, CalibrationSettings, InverseVariance, UnimodalSum, build_balancer
from bogc.posterior import PRIORS, ROUTES
from tests.networks import Losses, PlainNetwork, RichNetwork, gradients_of, losses_of

from .methods import assert_gradients_close, frozen


def stepped(network: nn.Module, balancer: BOGC, seed: int = 0, factor: float = 1.0):
    """Information of a step on the losses of a seed; ``.grad`` holds its gradient."""
    network.zero_grad(set_to_none=True)
    return balancer.backward(lambda: {s: factor * v for s, v in losses_of(network, seed=seed).items()})


def laplace(network, **choices) -> BOGC:
    return BOGC.reading("laplace", network.partition(), **choices)


def test_a_reading_names_registered_choices():
    registries = {
        "estimator": ESTIMATORS,
        "prior": PRIORS,
        "posterior": ROUTES,
        "evidence": EVIDENCE_MAPS,
        "frame": FRAMES,
    }
    assert list(READINGS) == ["conjugate", "laplace"]
    for reading in READINGS.values():
        assert reading.keys() == registries.keys()
        assert all(value in registries[name] for name, value in reading.items())


def test_the_conjugate_reading_is_the_default():
    partition = PlainNetwork().partition()
    found, default = BOGC.reading("conjugate", partition), BOGC(partition)
    assert (found.estimator, found.pipeline, found.scaling) == (
        default.estimator,
        default.pipeline,
        default.scaling,
    )


def test_a_choice_that_is_said_wins_over_the_reading():
    settings = CalibrationSettings(reading="laplace", frame="sign", prior="block")
    assert settings.resolved() == READINGS["laplace"] | {"frame": "sign", "prior": "block"}
    assert CalibrationSettings(posterior="filtered").resolved()["prior"] == "stationary"
    found = laplace(PlainNetwork(), draws=4, damping=0.5, exponent=1.0, draw_seed=2, evidence="power")
    assert found.estimator == Drawn(4, 0.5, 2)
    assert found.pipeline.evidence.exponent == 1.0
    mixed = laplace(PlainNetwork(), weights="mixed-certainty", mix=0.7)
    assert mixed.pipeline.weights.mix == 0.7


def test_the_method_by_name_is_the_reading():
    network = PlainNetwork()
    settings = CalibrationSettings(draws=3)
    found = build_balancer("bogc-laplace", network, settings, 10)
    expected = BOGC.reading("laplace", network.partition(), draws=3)
    assert (found.estimator, found.pipeline) == (expected.estimator, expected.pipeline)


def by_hand(network: PlainNetwork, block, draws: int, exponent: float) -> dict[str, Tensor]:
    """b [D] of each source from the variances over draws: b = e / (D + E), e = v^-s."""
    found = {}
    for source, moments in block.moments.items():
        variance = moments.scatter / (draws - 1)
        evidence = variance.pow(-exponent)
        found[source] = evidence / (len(evidence) + evidence.sum())
    return found


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_a_step_is_its_formulas(exponent: float):
    network = PlainNetwork()
    info = stepped(network, laplace(network, exponent=exponent, draws=5))
    names = {id(p): n for n, p in network.named_parameters()}
    found = gradients_of(network)
    plain = PlainNetwork.partition(network)
    for block in plain.blocks:
        shown = info.blocks[block.name]
        beliefs = by_hand(network, shown, 5, exponent)
        for source, belief in beliefs.items():
            torch.testing.assert_close(shown.opinions[source].belief, belief)
            torch.testing.assert_close(shown.opinions[source].uncertainty, 1 - belief.sum())
        raw = {s: m.mean for s, m in shown.moments.items()}
        total = sum(beliefs.values())
        direction = sum(beliefs[s] / total * raw[s] for s in raw)
        expected = direction * (sum(raw.values()).norm() / direction.norm())
        own = torch.cat([found[names[id(p)]].flatten() for p in block.parameters])
        torch.testing.assert_close(own, expected)


def test_what_is_scaled_are_the_gradients_at_the_learned_point_or_the_means_over_draws():
    network = PlainNetwork()
    raw = torch.autograd.grad(losses_of(network, seed=0)["image"].mean(), network.image_head.weight)[
        0
    ].flatten()
    block = stepped(network, laplace(network)).blocks["image_head"]
    torch.testing.assert_close(block.moments["image"].mean[: raw.numel()], raw)
    assert not torch.allclose(block.posteriors["image"].loc[: raw.numel()], raw)
    torch.testing.assert_close(block.length * block.update.direction[: raw.numel()], raw)
    block = stepped(
        network, laplace(network, aggregated="posterior-mean", scaling="unscaled", conservatism="none")
    ).blocks["image_head"]
    torch.testing.assert_close(block.update.direction, block.posteriors["image"].loc)


def test_one_weight_a_source_mixes_certainty_with_equal_weights():
    network = PlainNetwork()
    for mix in (0.0, 0.1, 1.0):
        info = stepped(network, laplace(network, weights="mixed-certainty", mix=mix))
        block = info.blocks["image.0"]
        certain = torch.stack([1 - o.uncertainty for o in block.opinions.values()])
        expected = (1 - mix) / 2 + mix * certain / certain.sum()
        torch.testing.assert_close(
            block.update.weights, expected.unsqueeze(1).expand_as(block.update.weights)
        )
        if mix == 0:
            plain = copy.deepcopy(network)
            UnimodalSum(plain.partition()).backward(losses_of(plain, seed=0))
            assert_gradients_close(gradients_of(network), gradients_of(plain), 1e-12)


class Narrow(nn.Module):
    """An encoder's bias vector of D dimensions before two heads, as small a block as asked for."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.shift = nn.ParameterList([nn.Parameter(0.1 * torch.randn(size))])
        self.fused, self.own = nn.Linear(size, 3), nn.Linear(size, 3)

    def partition(self) -> ModalityPartition:
        return ModalityPartition({"image": [self.shift, self.own]}, shared=self.fused)

    def losses(self) -> Losses:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(9, len(self.shift[0]), generator=generator) + self.shift[0]
        targets = torch.randint(3, (9,), generator=generator)
        heads = {"fusion": self.fused, "image": self.own}
        return {s: functional.cross_entropy(h(inputs), targets, reduction="none") for s, h in heads.items()}


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_small_frames_are_combined_by_the_full_rule(size: int):
    """On all subsets of D = 2 to 6 dimensions, through mass functions."""
    network = Narrow(size)
    balancer = BOGC.reading("laplace", network.partition())
    block = balancer.backward(network.losses).blocks["image.0"]
    assert len(block.opinions) == 2
    full = dempster.combine([MassFunction.from_opinion(opinion) for opinion in block.opinions.values()])
    fused = MassFunction.from_opinion(block.fused)
    torch.testing.assert_close(full.values, fused.values)


def test_a_block_of_one_dimension_is_refused_and_nothing_is_changed():
    network = Narrow(1)
    balancer = BOGC.reading("laplace", network.partition())
    before = frozen(network.state_dict())
    with pytest.raises(FrameError, match="must have 2 dimensions or more in a frame of dimensions"):
        balancer.backward(network.losses)
    assert frozen(network.state_dict()) == before
    assert balancer.state_dict()["state"]["steps"] == 0
    assert not gradients_of(network)


def uncertainty(network: PlainNetwork, factor: float = 1.0, **choices) -> float:
    info = stepped(network, laplace(network, **choices), factor=factor)
    return float(info.blocks["image_head"].opinions["image"].uncertainty)


def test_evidence_depends_on_the_unit_of_the_loss():
    """A failure, said openly. Where F is small against delta, v goes with the square of the loss's unit c,
    so e = v^-s with c^-2s, and u to 0 with c; where F is large, the draws shrink as the loss grows."""
    network = PlainNetwork()
    small = {c: uncertainty(network, c, damping=1e6) for c in (0.1, 1.0, 10.0)}
    odds = [(1 - u) / u for u in small.values()]
    assert [odds[0] / odds[1], odds[1] / odds[2]] == pytest.approx([10, 10], rel=1e-3)
    one, two, three, four = (uncertainty(network, c) for c in (1e-4, 1.0, 1e4, 1e6))
    assert one < 1e-4 < two < three
    assert three == pytest.approx(four, rel=0.05)
    assert uncertainty(network, 1.0, evidence="identity") < uncertainty(network, 1.0)


def test_the_draws_are_the_same_on_resuming_and_move_on_with_the_steps():
    network = RichNetwork()
    balancer = laplace(network)
    for seed in range(2):
        stepped(network, balancer, seed)
    file = io.BytesIO()
    torch.save({"balancer": balancer.state_dict(), "network": network.state_dict()}, file)
    stepped(network, balancer, 7)
    expected = gradients_of(network)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert state["balancer"]["state"]["steps"] == 2
    other = RichNetwork()
    other.load_state_dict(state["network"])
    resumed = laplace(other)
    resumed.load_state_dict(state["balancer"])
    stepped(other, resumed, 7)
    assert frozen(gradients_of(other)) == frozen(expected)
    fresh = laplace(other)
    other.load_state_dict(state["network"])
    stepped(other, fresh, 7)
    assert frozen(gradients_of(other)) != frozen(expected)


@pytest.mark.parametrize("steps", [None, -1, "2", True])
def test_a_state_that_does_not_count_its_steps_is_refused(steps):
    network = PlainNetwork()
    balancer = laplace(network)
    stepped(network, balancer)
    state = balancer.state_dict()
    state["state"]["steps"] = steps
    with pytest.raises(StateError, match="state must count its steps; found"):
        balancer.load_state_dict(state)


def test_a_bad_batch_changes_nothing_and_does_not_count():
    network = PlainNetwork()
    balancer = laplace(network)
    stepped(network, balancer)
    before = frozen([network.state_dict(), balancer.state_dict(), gradients_of(network)])
    calls = []

    def closure(bad: float) -> Losses:
        calls.append(1)
        factor = bad if len(calls) > 3 else 1.0
        return {s: factor * loss for s, loss in losses_of(network).items()}

    with pytest.raises(NonFiniteError, match="gradient at draws of the last layers must be finite"):
        balancer.backward(partial(closure, float("nan")))
    assert frozen([network.state_dict(), balancer.state_dict(), gradients_of(network)]) == before


def test_losses_without_a_closure_are_refused():
    network = PlainNetwork()
    with pytest.raises(
        LossError, match="losses must be a closure, to be evaluated at draws; found losses at"
    ):
        laplace(network).backward(losses_of(network))
    assert not gradients_of(network)


def test_other_methods_call_a_closure_once():
    network, calls = PlainNetwork(), []

    def closure() -> Losses:
        calls.append(1)
        return losses_of(network)

    BOGC(network.partition()).backward(closure)
    found = gradients_of(network)
    network.zero_grad(set_to_none=True)
    BOGC(network.partition()).backward(losses_of(network))
    assert frozen(gradients_of(network)) == frozen(found)
    assert calls == [1]


def test_draws_serve_other_methods_that_take_an_estimator():
    network = PlainNetwork()
    balancer = InverseVariance(network.partition(), Drawn(3))
    for seed in range(2):
        balancer.backward(partial(losses_of, network, seed=seed))
    assert balancer.state_dict()["state"]["steps"] == 2
    assert all(bool(g.isfinite().all()) for g in gradients_of(network).values())


class Doubling:
    def scale(self, outputs: Tensor) -> Tensor:
        return 2 * outputs


def test_a_scaler_and_micro_batches_are_refused():
    network = PlainNetwork()
    balancer = laplace(network)
    with pytest.raises(UnsuitableError, match="scaler must not scale losses that are drawn"):
        balancer.backward(partial(losses_of, network), scaler=Doubling())
    with pytest.raises(UnsuitableError, match="must be exact on a batch that is spread over micro-batches"):
        balancer.accumulate(losses_of(network))


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"draws": 0}, RangeError, "draws must be at least 2"),
        ({"damping": 0.0}, RangeError, "damping must be positive and finite"),
        ({"exponent": 0.0}, RangeError, "exponent must be positive and finite; found 0.0. Use 0.5"),
        ({"weights": "mixed-certainty", "mix": 1.5}, RangeError, r"mix must lie in \[0, 1\]; found 1.5"),
        ({"colour": 1}, ConfigError, r"choices must be fields of CalibrationSettings; found \['colour'\]"),
        ({"reading": "laplace"}, TypeError, "reading"),
    ],
)
def test_impossible_choices_are_refused(choices, error, message):
    with pytest.raises(error, match=message):
        laplace(PlainNetwork(), **choices)


def test_an_unknown_reading_is_refused():
    with pytest.raises(ConfigError, match="reading must be one of conjugate, laplace; found 'bayes'"):
        BOGC.reading("bayes", PlainNetwork().partition())


def test_the_last_layers_are_said_and_shown():
    network = PlainNetwork()
    info = stepped(network, laplace(network))
    assert info.last_layers["image"] == ["image_head.weight", "image_head.bias"]
    info = stepped(network, laplace(network, heads={"image": network.image}))
    assert info.last_layers["image"] == ["image.0.weight", "image.0.bias"]
    assert BOGC(network.partition()).backward(losses_of(network)).last_layers == {}


@pytest.mark.parametrize("scaling", [MatchEachBlock, Unscaled])
def test_a_missing_modality_is_left_alone(scaling):
    network = PlainNetwork()
    balancer = laplace(network, scaling="unscaled" if scaling is Unscaled else "match-each-block")
    for without in (None, "sound", "image", None):
        network.zero_grad(set_to_none=True)
        info = balancer.backward(partial(losses_of, network, without=without))
        assert without not in info.last_layers
        assert all(not n.startswith(f"{without}.") for n in gradients_of(network))


def head_uncertainty(width: int, exponent: float) -> float:
    """u of an untrained softmax head on ``width`` features of unit variance."""
    layer = nn.Linear(width, 3)
    inputs, targets = torch.randn(64, width), torch.randint(3, (64,))
    losses = partial(_cross_entropy, layer, inputs, targets)
    balancer = BOGC.reading("laplace", ModalityPartition({"image": layer}), exponent=exponent)
    return float(balancer.backward(losses).blocks["image"].opinions["fusion"].uncertainty)


def _cross_entropy(layer: nn.Module, inputs: Tensor, targets: Tensor) -> Losses:
    return {"fusion": functional.cross_entropy(layer(inputs), targets, reduction="none")}


def test_uncertainty_is_a_matter_of_the_size_of_variances_and_not_of_the_number_of_dimensions():
    """u = 1 / (1 + mean_d sigma_d^-2s): D cancels, as W = K = D. A softmax head has sigma of about .06 in the
    unit of its loss, so u is about .06 from 15 to 3,075 dimensions, and with s = 1 about .005: next to
    certain, at an untrained head as anywhere else."""
    found = [head_uncertainty(width, 0.5) for width in (4, 32, 1024)]
    assert all(0.03 < u < 0.15 for u in found)
    assert max(found) < 3 * min(found)
    assert all(head_uncertainty(width, 1.0) < 0.02 for width in (4, 1024))


def test_a_dead_dimension_takes_the_belief_of_its_layer():
    """A failure, said openly: a bias before BatchNorm has gradient 0 at every draw, so the least variance
    that is allowed, 1e-6 of the layer's mean, and a thousand times the evidence of the others."""
    network = RichNetwork()
    opinion = stepped(network, laplace(network)).blocks["image.0"].opinions["image"]
    weights, biases = opinion.belief[: network.image[0].weight.numel()], opinion.belief[-6:]
    assert float(biases.sum()) > 0.9
    assert float(weights.sum()) < 0.1
