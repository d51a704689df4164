import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bogc.errors import RangeError
from bogc.methods import I2M2, build_balancer
from bogc.methods.i2m2 import I2M2Settings
from bogc.models import ProductOfExperts
from tests.networks import gradients_of

from .methods import assert_gradients_close, gradient_of

SAMPLES = {"image": torch.zeros(5), "sound": torch.zeros(2, 6)}


def network() -> ProductOfExperts:
    return ProductOfExperts.for_samples(SAMPLES, 3, features=4)


def losses_of(model: ProductOfExperts, without: str | None = None) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs = {m: torch.randn(8, *sample.shape, generator=generator) for m, sample in SAMPLES.items()}
    outputs = model({m: value for m, value in inputs.items() if m != without})
    logits = {"fusion": outputs.fused, **outputs.unimodal}
    targets = torch.arange(8) % 3
    return {s: functional.cross_entropy(z, targets, reduction="none") for s, z in logits.items()}


def alone(model: ProductOfExperts, source: str, without: str | None = None) -> dict[str, Tensor]:
    """Gradient of one loss by autograd."""
    model.zero_grad(set_to_none=True)
    losses_of(model, without)[source].mean().backward()
    found = gradients_of(model)
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("without", [None, "image", "sound"])
def test_apart_every_expert_gets_the_gradient_of_its_loss_alone(without: str | None):
    model = network()
    found = gradient_of(model, I2M2(model.partition(), 1), losses_of(model, without))
    experts = [m for m in SAMPLES if m != without] + ([] if without else ["joint"])
    parts = [alone(model, expert, without) for expert in experts]
    assert sum(map(len, parts)) == len(found)  # no two experts share a parameter
    for part in parts:
        assert_gradients_close({name: found[name] for name in part}, part, 1e-12)


@pytest.mark.parametrize("without", [None, "image", "sound"])
def test_together_it_is_the_gradient_of_the_product(without: str | None):
    model = network()
    found = gradient_of(model, I2M2(model.partition(), 0), losses_of(model, without))
    assert_gradients_close(found, alone(model, "fusion", without), 1e-12)


@pytest.mark.parametrize("apart", [0, 1, 3])
def test_the_stage_changes_after_exactly_so_many_steps(apart: int):
    model = network()
    balancer = I2M2(model.partition(), apart)
    product = alone(model, "fusion")["heads.image.weight"]
    expert = alone(model, "image")["heads.image.weight"]
    assert not torch.allclose(product, expert)
    for step in range(5):
        found = gradient_of(model, balancer, losses_of(model))["heads.image.weight"]
        torch.testing.assert_close(found, expert if step < apart else product)


def test_steps_without_a_modality_count():
    model = network()
    balancer = I2M2(model.partition(), 2)
    for without in ("image", "sound", None):
        balancer.backward(losses_of(model, without))
    assert balancer.state_dict()["state"] == {"steps": 3}


def test_every_loss_is_reported_in_both_stages():
    model = network()
    balancer = I2M2(model.partition(), 1)
    for _ in range(2):
        assert set(balancer.backward(losses_of(model)).losses) == {"fusion", "image", "sound", "joint"}


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (0.5, 5), (0.25, 2), (1.0, 10)])
def test_settings_take_a_share_of_the_steps(share: float, steps: int):
    assert build_balancer("i2m2", network(), I2M2Settings(apart=share), 10).apart == steps


def test_constants_out_of_range():
    partition = network().partition()
    with pytest.raises(RangeError, match="apart must not be negative; found -1"):
        I2M2(partition, -1)
    for share in (-0.1, 1.1):
        with pytest.raises(RangeError, match=r"apart must lie in \[0, 1\]; found"):
            build_balancer("i2m2", network(), I2M2Settings(apart=share), 10)
