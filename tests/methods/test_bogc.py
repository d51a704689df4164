import pytest
import torch
from torch import Tensor, nn

from bogc.belief import EVIDENCE_MAPS
from bogc.calibration import MatchEachBlock, MatchPlainSum, Pipeline, Unscaled
from bogc.errors import FrameError, NonFiniteError, TooFewSamplesError
from bogc.gradients import Grouped, ModalityPartition, PerSample, Successive
from bogc.methods import BOGC, CalibrationSettings, UnimodalSum
from bogc.posterior import BlockPrior, FilteredRoute, FixedPrior, StationaryPrior
from tests.networks import PlainNetwork, RichNetwork, batch, losses_of

from .methods import assert_gradients_close, frozen, gradient_of

ESTIMATORS = {"per-sample": PerSample(), "grouped": Grouped(3), "successive": Successive(0.9)}
all_estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
WARM_UP = 3  # steps of the default: one difference, one product, and then there is a prior


def same_samples(network: PlainNetwork) -> dict[str, Tensor]:
    """Losses of one sample, six times: no noise within the batch, and none over steps."""
    inputs, targets = batch(1)
    logits = network({name: value.expand(6, *value.shape[1:]) for name, value in inputs.items()})
    return {s: nn.functional.cross_entropy(z, targets.expand(6), reduction="none") for s, z in logits.items()}


@all_estimators
@pytest.mark.parametrize("steps", [4, 9])
def test_without_noise_it_is_the_plain_sum(estimator, steps):
    """u -> 0 for every source in every dimension, whatever the scale of the gradient."""
    network = PlainNetwork()
    balancer = BOGC(network.partition(), estimator, scaling=Unscaled())
    for _ in range(steps):
        found = gradient_of(network, balancer, same_samples(network))
    expected = gradient_of(network, UnimodalSum(network.partition()), same_samples(network))
    assert_gradients_close(found, expected, 1e-5)


@pytest.mark.parametrize("network", [PlainNetwork, RichNetwork])
def test_the_first_steps_are_the_plain_sum_and_then_it_is_not(network):
    model = network()
    balancer = BOGC(model.partition(), scaling=Unscaled())
    for seed in range(WARM_UP):
        found = gradient_of(model, balancer, losses_of(model, seed=seed))
        expected = gradient_of(model, UnimodalSum(model.partition()), losses_of(model, seed=seed))
        assert_gradients_close(found, expected, 1e-12)
    info = balancer.backward(losses_of(model, seed=WARM_UP))
    assert info.blocks.keys() == {b.name for b in model.partition().blocks} - {"unused"}
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    expected = gradient_of(model, UnimodalSum(model.partition()), losses_of(model, seed=WARM_UP))
    assert not torch.allclose(found["image.0.weight"], expected["image.0.weight"])


@all_estimators
def test_the_default_scaling_keeps_the_length_of_the_plain_sum_in_every_block(estimator):
    network = RichNetwork()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    balancer = BOGC(network.partition(), estimator)
    assert isinstance(balancer.scaling, MatchEachBlock)
    for seed in range(6):
        found = gradient_of(network, balancer, losses_of(network, seed=seed))
        plain = gradient_of(network, UnimodalSum(network.partition()), losses_of(network, seed=seed))
        for block in network.partition().blocks:
            own = [names[id(parameter)] for parameter in block.parameters if names[id(parameter)] in plain]
            if own:
                lengths = [torch.cat([g[n].reshape(-1) for n in own]).norm() for g in (found, plain)]
                torch.testing.assert_close(*lengths)


@all_estimators
@pytest.mark.parametrize("evidence", [name for name in EVIDENCE_MAPS if name not in ("identity", "power")])
@pytest.mark.parametrize("scaling", [Unscaled(), MatchPlainSum(), MatchEachBlock()])
def test_rescaling_all_losses_rescales_the_update(estimator, evidence, scaling):
    network = PlainNetwork()
    pipeline = Pipeline(evidence=EVIDENCE_MAPS[evidence]())
    factors = (1.0, 1e-4, 3.0, 1e4)
    balancers = {f: BOGC(network.partition(), estimator, pipeline, scaling) for f in factors}
    for seed in range(5):
        found = {}
        for factor, balancer in balancers.items():
            scaled = {s: factor * loss for s, loss in losses_of(network, seed=seed).items()}
            found[factor] = gradient_of(network, balancer, scaled)
        for factor in factors[1:]:
            rescaled = {n: g / factor for n, g in found[factor].items()}
            assert_gradients_close(rescaled, found[1.0], 1e-7)


@pytest.mark.parametrize(
    "pipeline",
    [Pipeline(prior=BlockPrior()), Pipeline(prior=StationaryPrior(), route=FilteredRoute())],
    ids=["block", "filtered"],
)
def test_other_priors_are_free_of_the_loss_scale_too_but_a_fixed_one_is_not(pipeline):
    network = PlainNetwork()

    def ratio(pipeline: Pipeline) -> float:
        found = []
        for factor in (1.0, 100.0):
            balancer = BOGC(network.partition(), None, pipeline, Unscaled())
            for seed in range(6):
                scaled = {s: factor * loss for s, loss in losses_of(network, seed=seed).items()}
                gradients = gradient_of(network, balancer, scaled)
            found.append(gradients["fused.weight"].norm().item())
        return found[1] / found[0]

    assert ratio(pipeline) == pytest.approx(100.0)
    assert (
        ratio(Pipeline(prior=FixedPrior(1e-3))) < 10
    )  # against a hundredfold gradient it is next to nothing


def pairs_of(balancer: BOGC) -> dict[tuple[str, str], object]:
    """What is remembered of each source and block."""
    found = frozen(balancer.state_dict()["state"]["pairs"])
    return {tuple(key.split("\n")): value for key, value in found.items()}


@all_estimators
def test_a_missing_modality_keeps_its_state_and_leaves_its_modules_alone(estimator):
    network = PlainNetwork()
    balancer = BOGC(network.partition(), estimator)
    for seed in range(4):
        balancer.backward(losses_of(network, seed=seed))
    before = pairs_of(balancer)
    found = gradient_of(network, balancer, losses_of(network, seed=7, without="sound"))
    assert {name.split(".")[0] for name in found} == {"image", "image_head", "fused"}
    after = pairs_of(balancer)
    assert after.keys() == before.keys()
    for (source, block), kept in before.items():
        assert (after[source, block] == kept) == (source == "sound" or block.startswith("sound"))
    again = gradient_of(network, balancer, losses_of(network, seed=8))
    assert set(again) == {name for name, _ in network.named_parameters()}
    assert all(bool(gradient.isfinite().all()) for gradient in again.values())


def test_a_modality_that_comes_late_starts_from_the_plain_sum():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), scaling=Unscaled())
    for seed in range(5):
        balancer.backward(losses_of(network, seed=seed, without="sound"))
    for step in range(WARM_UP + 1):
        info = balancer.backward(losses_of(network, seed=9 + step))
        late = set(info.blocks) & {"sound.0", "sound_head"}
        assert {"image.0", "image_head", "fused"} <= set(info.blocks)
        assert bool(late) == (step == WARM_UP)


def without_image_loss(network: PlainNetwork, seed: int) -> dict[str, Tensor]:
    """The modality is there, and the fusion loss reaches it, but its own loss is not taken."""
    return {s: loss for s, loss in losses_of(network, seed=seed).items() if s != "image"}


def test_an_absent_loss_keeps_its_prior_in_blocks_that_others_reach():
    network = PlainNetwork()
    balancer = BOGC(network.partition())
    for seed in range(4):
        balancer.backward(losses_of(network, seed=seed))
    before = pairs_of(balancer)
    balancer.backward(without_image_loss(network, 5))
    after = pairs_of(balancer)
    assert after["image", "image.0"] == before["image", "image.0"]
    assert after["fusion", "image.0"] != before["fusion", "image.0"]


def test_a_block_waits_until_every_source_knows_its_variance():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), scaling=Unscaled())
    for seed in range(WARM_UP):
        balancer.backward(without_image_loss(network, seed))
    network.zero_grad()
    info = balancer.backward(losses_of(network, seed=9))
    assert set(info.blocks) == {"sound.0", "sound_head", "fused"}
    found = network.image[0].weight.grad.clone()
    expected = gradient_of(network, UnimodalSum(network.partition()), losses_of(network, seed=9))
    torch.testing.assert_close(found, expected["image.0.weight"])


def test_too_small_a_batch_is_refused_and_changes_nothing():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), PerSample())
    balancer.backward(losses_of(network))
    state, grads = frozen(balancer.state_dict()), [p.grad.clone() for p in network.parameters()]
    with pytest.raises(TooFewSamplesError, match=r"PerSample on losses\['fusion'\] needs at least 2 samples"):
        balancer.backward(losses_of(network, samples=1))
    assert frozen(balancer.state_dict()) == state
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), grads, strict=True))


def test_a_block_of_one_dimension_is_refused_in_a_frame_of_dimensions():
    layer = nn.Linear(1, 1, bias=False)
    balancer = CalibrationSettings(frame="dimensions").build(ModalityPartition({"image": layer}))
    with pytest.raises(FrameError, match="block 'image' must have 2 dimensions or more"):
        balancer.backward({"fusion": layer(torch.randn(4, 1)).squeeze(1)})
    assert layer.weight.grad is None


@all_estimators
def test_float32_agrees_with_float64(estimator):
    found = []
    for dtype in (torch.float64, torch.float32):
        torch.manual_seed(3)
        network = PlainNetwork().to(dtype)
        balancer = BOGC(network.partition(), estimator)
        for seed in range(5):
            gradients = gradient_of(network, balancer, losses_of(network, seed=seed))
        assert all(g.dtype == dtype for g in gradients.values())
        found.append({name: g.double() for name, g in gradients.items()})
    assert_gradients_close(found[1], found[0], 2e-3)


def linear() -> tuple[nn.Linear, ModalityPartition]:
    layer = nn.Linear(2, 1).float()
    return layer, ModalityPartition({"image": layer})


@pytest.mark.parametrize("estimator", [Grouped(2), Successive()])
def test_gradients_that_are_not_finite_are_refused(estimator):
    layer, partition = linear()
    inputs = torch.full((8, 2), 3e38, dtype=torch.float32)
    losses = {"fusion": layer(inputs).squeeze(1) * 1e3}
    with pytest.raises(NonFiniteError, match="must be finite"):
        BOGC(partition, estimator).backward(losses)
    assert layer.weight.grad is None


def test_a_nan_loss_with_a_finite_gradient_is_refused():
    layer, partition = linear()
    losses = {"fusion": layer(torch.randn(8, 2).float()).squeeze(1) + float("nan")}
    with pytest.raises(NonFiniteError, match="must be finite"):
        BOGC(partition, Grouped(2)).backward(losses)
