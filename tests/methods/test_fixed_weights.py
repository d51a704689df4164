import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bogc.errors import ConfigError, RangeError
from bogc.methods import FixedWeights, build_balancer
from bogc.methods.sums import FixedWeightsSettings
from tests.networks import PlainNetwork, RichNetwork, gradients_of, losses_of

from .methods import assert_gradients_close, gradient_of

weight = st.floats(0, 20)


@settings(max_examples=15)
@given(fusion=weight, image=weight, sound=weight)
def test_equals_autograd_of_the_weighted_sum(fusion: float, image: float, sound: float):
    model = RichNetwork()
    weights = {"fusion": fusion, "image": image, "sound": sound}
    found = gradient_of(model, FixedWeights(model.partition(), weights), losses_of(model))
    torch.stack([weights[s] * loss.mean() for s, loss in losses_of(model).items()]).sum().backward()
    assert_gradients_close(found, gradients_of(model), 1e-12)


def test_reported_losses_are_unweighted_and_factors_are_the_weights():
    model = PlainNetwork()
    losses = losses_of(model, without="image")
    weights = {"fusion": 0.5, "image": 2.0, "sound": 3.0}
    info = FixedWeights(model.partition(), weights).backward(losses)
    assert {s: v.item() for s, v in info.losses.items()} == {s: v.mean().item() for s, v in losses.items()}
    assert {s: v.item() for s, v in info.factors.items()} == {"fusion": 0.5, "sound": 3.0}


@pytest.mark.parametrize(
    "names", [("fusion", "image"), ("fusion", "image", "sound", "smell"), ("image", "sound")]
)
def test_every_source_needs_one_weight(names: tuple[str, ...]):
    with pytest.raises(ConfigError, match=r"weights must name exactly \['fusion', 'image', 'sound'\]; found"):
        FixedWeights(PlainNetwork().partition(), dict.fromkeys(names, 1.0))


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_weight_is_a_number_that_is_not_negative(value: float):
    with pytest.raises(RangeError, match=r"weights\['sound'\] must not be negative; found"):
        FixedWeights(PlainNetwork().partition(), {"fusion": 1.0, "image": 1.0, "sound": value})


def test_settings_give_every_modality_the_same_weight():
    built = build_balancer("fixed-weights", PlainNetwork(), FixedWeightsSettings(fusion=0.5, unimodal=2.0), 1)
    assert built.weights == {"fusion": 0.5, "image": 2.0, "sound": 2.0}
