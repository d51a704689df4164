import pytest
import torch
from torch import Tensor, nn

from bogc.balancing import BOGC, UnimodalSum
from bogc.belief import EVIDENCE_MAPS
from bogc.calibration import MatchEachBlock, MatchPlainSum, Pipeline, Unscaled, calibrate_block
from bogc.errors import NonFiniteError, TooFewSamplesError
from bogc.gradients import Block, GradientMoments, Grouped, ModalityPartition, PerSample, Streaming
from bogc.posterior import DimensionPrior, FilteredPrior, FixedPrior
from tests.networks import NETWORKS, PlainNetwork, RichNetwork, batch, losses_of

from .methods import assert_gradients_close, frozen, gradient_of

ESTIMATORS = {"per-sample": PerSample(), "grouped": Grouped(3), "streaming": Streaming(0.8, 2)}
all_estimators = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)


def same_samples(network: PlainNetwork) -> dict[str, Tensor]:
    """Losses of one sample, six times: no noise within the batch."""
    inputs, targets = batch(1)
    logits = network({name: value.expand(6, *value.shape[1:]) for name, value in inputs.items()})
    return {s: nn.functional.cross_entropy(z, targets.expand(6), reduction="none") for s, z in logits.items()}


@all_estimators
def test_without_noise_it_is_the_plain_sum(estimator):
    """u -> 0 for every source in every dimension, whatever the scale of the gradient."""
    network = PlainNetwork()
    balancer = BOGC(network.partition(), estimator, scaling=Unscaled())
    for _ in range(4):
        found = gradient_of(network, balancer, same_samples(network))
    expected = gradient_of(network, UnimodalSum(network.partition()), same_samples(network))
    assert_gradients_close(found, expected, 1e-5)


def test_the_warm_up_of_streaming_is_the_plain_sum():
    network = RichNetwork()
    balancer = BOGC(network.partition(), Streaming(0.9, 3), scaling=Unscaled())
    for seed in range(3):
        found = gradient_of(network, balancer, losses_of(network, seed=seed))
        expected = gradient_of(network, UnimodalSum(network.partition()), losses_of(network, seed=seed))
        assert_gradients_close(found, expected, 1e-12)
    info = balancer.backward(losses_of(network, seed=3))
    assert info.blocks.keys() == {b.name for b in network.partition().blocks} - {"unused"}


def rows_of(loss: Tensor, block: Block) -> Tensor | None:
    """Oracle: per-sample gradients by one autograd call a sample."""
    rows = []
    for value in loss:
        found = torch.autograd.grad(value, block.parameters, retain_graph=True, allow_unused=True)
        if all(gradient is None for gradient in found):
            return None
        pairs = zip(block.parameters, found, strict=True)
        rows.append(torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for p, g in pairs]))
    return torch.stack(rows)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_the_pipeline_on_each_block_of_each_source_that_reaches_it(network):
    model = NETWORKS[network]()
    partition, pipeline = model.partition(), Pipeline()
    balancer, states = BOGC(partition, PerSample(), pipeline, Unscaled()), {}
    for seed in range(3):
        losses = losses_of(model, seed=seed)
        found = gradient_of(model, balancer, losses)
        names = {id(p): name for name, p in model.named_parameters()}
        for block in partition.blocks:
            rows = {source: rows_of(loss, block) for source, loss in losses.items()}
            moments = {s: GradientMoments.from_samples(r) for s, r in rows.items() if r is not None}
            if not moments:
                assert block.name == "unused"
                continue
            calibrated, states[block.name] = calibrate_block(moments, states.get(block.name, {}), pipeline)
            for parameter, part in block.split(calibrated.update.direction):
                torch.testing.assert_close(found[names[id(parameter)]], part, rtol=1e-7, atol=1e-12)


@all_estimators
def test_the_default_scaling_keeps_the_length_of_the_plain_sum_in_every_block(estimator):
    network = RichNetwork()
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    balancer = BOGC(network.partition(), estimator)
    assert isinstance(balancer.scaling, MatchEachBlock)
    for seed in range(4):
        found = gradient_of(network, balancer, losses_of(network, seed=seed))
        plain = gradient_of(network, UnimodalSum(network.partition()), losses_of(network, seed=seed))
        for block in network.partition().blocks:
            own = [names[id(parameter)] for parameter in block.parameters if names[id(parameter)] in plain]
            if own:
                lengths = [torch.cat([g[n].reshape(-1) for n in own]).norm() for g in (found, plain)]
                torch.testing.assert_close(*lengths)


@all_estimators
@pytest.mark.parametrize("factor", [1e-4, 3.0, 1e4])
@pytest.mark.parametrize("evidence", [name for name in EVIDENCE_MAPS if name != "identity"])
@pytest.mark.parametrize("scaling", [Unscaled(), MatchPlainSum(), MatchEachBlock()])
def test_rescaling_all_losses_rescales_the_update(estimator, factor, evidence, scaling):
    network = PlainNetwork()
    pipeline = Pipeline(evidence=EVIDENCE_MAPS[evidence]())
    balancers = [BOGC(network.partition(), estimator, pipeline, scaling) for _ in range(2)]
    for seed in range(4):
        plain = gradient_of(network, balancers[0], losses_of(network, seed=seed))
        scaled = {s: factor * loss for s, loss in losses_of(network, seed=seed).items()}
        found = gradient_of(network, balancers[1], scaled)
        assert_gradients_close({n: g / factor for n, g in found.items()}, plain, 1e-7)


@pytest.mark.parametrize("prior", [DimensionPrior(), FilteredPrior()], ids=lambda p: type(p).__name__)
def test_other_priors_are_free_of_the_loss_scale_too_but_a_fixed_one_is_not(prior):
    network = PlainNetwork()

    def ratio(prior) -> float:
        found = []
        for factor in (1.0, 100.0):
            balancer = BOGC(network.partition(), Grouped(3), Pipeline(prior=prior), Unscaled())
            for seed in range(2):
                scaled = {s: factor * loss for s, loss in losses_of(network, seed=seed).items()}
                gradients = gradient_of(network, balancer, scaled)
            found.append(gradients["fused.weight"].norm().item())
        return found[1] / found[0]

    assert ratio(prior) == pytest.approx(100.0)
    assert ratio(FixedPrior(1e-3)) < 10  # against a hundredfold gradient the same tau^2 is next to nothing


@all_estimators
def test_a_missing_modality_keeps_its_state_and_leaves_its_modules_alone(estimator):
    network = PlainNetwork()
    balancer = BOGC(network.partition(), estimator)
    for seed in range(3):
        balancer.backward(losses_of(network, seed=seed))
    before = balancer.state_dict()["state"]
    found = gradient_of(network, balancer, losses_of(network, seed=7, without="sound"))
    assert not any(name.startswith("sound") for name in found)
    assert {name.split(".")[0] for name in found} == {"image", "image_head", "fused"}
    after = balancer.state_dict()["state"]
    assert after["streams"]["sound"] is before["streams"]["sound"]
    for block, sources in before["priors"].items():
        for source, state in sources.items():
            if source == "sound" or block.startswith("sound"):
                assert frozen(after["priors"][block][source]) == frozen(state)
    again = gradient_of(network, balancer, losses_of(network, seed=8))
    assert set(again) == {name for name, _ in network.named_parameters()}
    assert all(bool(gradient.isfinite().all()) for gradient in again.values())


def test_a_modality_that_comes_late_starts_from_the_plain_sum():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), Streaming(0.9, 2), scaling=Unscaled())
    for seed in range(4):
        balancer.backward(losses_of(network, seed=seed, without="sound"))
    info = balancer.backward(losses_of(network, seed=9))
    assert set(info.blocks) == {"image.0", "image_head", "fused"}


def without_image_loss(network: PlainNetwork, seed: int) -> dict[str, Tensor]:
    """The modality is there, and the fusion loss reaches it, but its own loss is not taken."""
    return {s: loss for s, loss in losses_of(network, seed=seed).items() if s != "image"}


def test_an_absent_loss_keeps_its_prior_in_blocks_that_others_reach():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), Grouped(3))
    balancer.backward(losses_of(network))
    before = frozen(balancer.state_dict()["state"]["priors"]["image.0"])
    balancer.backward(without_image_loss(network, 2))
    after = frozen(balancer.state_dict()["state"]["priors"]["image.0"])
    assert after["image"] == before["image"]
    assert after["fusion"] != before["fusion"]


def test_a_block_waits_until_every_source_knows_its_variance():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), Streaming(0.9, 2), scaling=Unscaled())
    for seed in range(3):
        balancer.backward(without_image_loss(network, seed))
    network.zero_grad()
    info = balancer.backward(losses_of(network, seed=9))
    assert set(info.blocks) == {"sound.0", "sound_head", "fused"}
    found = network.image[0].weight.grad.clone()
    expected = gradient_of(network, UnimodalSum(network.partition()), losses_of(network, seed=9))
    torch.testing.assert_close(found, expected["image.0.weight"])


def test_under_a_fixed_prior_streaming_weights_do_not_depend_on_the_draw():
    """What makes the update unbiased; the default prior takes the current batch in and loses it."""
    network = PlainNetwork()
    weights = {}
    for name, prior in (("fixed", FixedPrior(1e-3)), ("dimension", DimensionPrior())):
        balancer = BOGC(network.partition(), Streaming(0.9, 3), Pipeline(prior=prior))
        for seed in range(4):
            balancer.backward(losses_of(network, seed=seed))
        state = balancer.state_dict()
        for seed in (50, 51):
            balancer.load_state_dict(state)
            info = balancer.backward(losses_of(network, seed=seed))
            weights[name, seed] = info.blocks["image.0"].update.weights
    torch.testing.assert_close(weights["fixed", 50], weights["fixed", 51])
    assert not torch.allclose(weights["dimension", 50], weights["dimension", 51])


def test_too_small_a_batch_is_refused_and_changes_nothing():
    network = PlainNetwork()
    balancer = BOGC(network.partition(), PerSample())
    balancer.backward(losses_of(network))
    state, grads = frozen(balancer.state_dict()), [p.grad.clone() for p in network.parameters()]
    with pytest.raises(TooFewSamplesError, match="PerSample needs at least 2 samples in a batch; found 1"):
        balancer.backward(losses_of(network, samples=1))
    assert frozen(balancer.state_dict()) == state
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), grads, strict=True))


@all_estimators
def test_float32_agrees_with_float64(estimator):
    found = []
    for dtype in (torch.float64, torch.float32):
        torch.manual_seed(3)
        network = PlainNetwork().to(dtype)
        balancer = BOGC(network.partition(), estimator)
        for seed in range(4):
            gradients = gradient_of(network, balancer, losses_of(network, seed=seed))
        assert all(g.dtype == dtype for g in gradients.values())
        found.append({name: g.double() for name, g in gradients.items()})
    assert_gradients_close(found[1], found[0], 2e-3)


def linear() -> tuple[nn.Linear, ModalityPartition]:
    layer = nn.Linear(2, 1).float()
    return layer, ModalityPartition({"image": layer})


def test_gradients_whose_squares_overflow_are_refused():
    layer, partition = linear()
    losses = {"fusion": layer(1e21 * torch.randn(8, 2).float()).squeeze(1)}
    with pytest.raises(NonFiniteError, match="must be finite"):
        BOGC(partition, Grouped(2)).backward(losses)
    assert layer.weight.grad is None


def test_a_nan_loss_with_a_finite_gradient_is_refused():
    layer, partition = linear()
    losses = {"fusion": layer(torch.randn(8, 2).float()).squeeze(1) + float("nan")}
    with pytest.raises(NonFiniteError, match="must be finite"):
        BOGC(partition, Grouped(2)).backward(losses)
