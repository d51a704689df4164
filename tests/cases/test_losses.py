"""Losses of other shapes and sizes, targets of other kinds, and batches that few samples are in."""

import pytest
import torch
from torch import nn

from bogc.errors import BogcError, DtypeError, LossError, NonFiniteError, ShapeError
from bogc.methods import BOGC, OGMGE, InverseVariance
from bogc.methods.ogm_ge import scores
from bogc.methods.tasks import CLASSIFICATION
from bogc.models import MultimodalClassifier

from .problems import BALANCERS, Pair, losses_of, train

every = pytest.mark.parametrize("method", BALANCERS)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda x: x.unsqueeze(1), r"shape \[8, 1\].*\.squeeze\(1\)"),
        (lambda x: x.unsqueeze(1).expand(-1, 6), r"shape \[8, 6\].*\.flatten\(1\)\.mean\(1\)"),
        (lambda x: x.view(8, 1, 1).expand(-1, 3, 2), r"shape \[8, 3, 2\].*\.flatten\(1\)\.mean\(1\)"),
        (lambda x: x.mean(), r"shape \[\].*reduction='none'"),
        (lambda x: x[:0], r"shape \[0\]"),
    ],
)
def test_a_loss_of_another_shape_is_told_the_line_to_add(change, advice):
    network = Pair()
    losses = losses_of(network)
    with pytest.raises(LossError, match=rf"losses\['image'\].*{advice}"):
        BOGC(network.partition()).backward(losses | {"image": change(losses["image"])})


@every
@pytest.mark.parametrize("tokens", [1, 7])
def test_losses_per_token_train_by_their_mean(method, tokens):
    network = Pair()

    def losses(step):
        return {
            s: x.unsqueeze(1).expand(-1, tokens).flatten(1).mean(1)
            for s, x in losses_of(network, step).items()
        }

    train(network, BALANCERS[method](network.partition()), losses)


@every
@pytest.mark.parametrize("audible", [1, 2, 16])
def test_one_of_sixteen_samples_has_audio(method, audible):
    network = Pair()

    def losses(step):
        found = losses_of(network, step, 16)
        return found | {"sound": found["sound"][:audible]}

    train(network, BALANCERS[method](network.partition()), losses, 8)


@pytest.mark.parametrize("method", ["bogc", "inverse-variance", "sum"])
@pytest.mark.parametrize("factor", [1e10, 1e15, 1e20, 1e30])
def test_one_batch_of_huge_losses_does_not_end_the_run(method, factor):
    torch.set_default_dtype(torch.float32)
    network = Pair().float()
    balancer = BALANCERS[method](network.partition())
    for step in range(4):
        balancer.backward(losses_of(network, step))
    network.zero_grad()
    try:
        balancer.backward({s: factor * x for s, x in losses_of(network, 5).items()})
    except NonFiniteError:
        assert all(p.grad is None for p in network.parameters())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())
    network.zero_grad()
    for step in range(6, 9):
        balancer.backward(losses_of(network, step))
        assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("kind", [BOGC, InverseVariance])
def test_a_first_batch_of_huge_losses_is_forgotten(kind):
    torch.set_default_dtype(torch.float32)
    network = Pair().float()
    spoilt, fresh = kind(network.partition()), kind(network.partition())
    spoilt.backward({s: 1e20 * x for s, x in losses_of(network, 0).items()})
    for step in range(1, 8):
        found = []
        for balancer in (spoilt, fresh):
            network.zero_grad()
            balancer.backward(losses_of(network, step))
            found.append([p.grad.clone() for p in network.parameters()])
        for one, other in zip(*found, strict=True):  # a logarithm of variances knows their unit by rounding
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1e-10, 1.0, 1e10, 1e20, 1e30])
@pytest.mark.parametrize("kind", [BOGC, InverseVariance])
def test_updates_do_not_know_the_scale_of_float32_losses(factor, kind):
    torch.set_default_dtype(torch.float32)
    found = []
    for scale in (1.0, factor):
        torch.manual_seed(0)
        network = Pair().float()
        balancer = kind(network.partition())
        for step in range(6):
            network.zero_grad()
            balancer.backward({s: scale * x for s, x in losses_of(network, step).items()})
        found.append([p.grad.double() / scale for p in network.parameters()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * one.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_parameters_of_half_precision_have_moments_in_float32(dtype):
    torch.set_default_dtype(torch.float32)
    network = Pair().to(dtype)
    balancer = BOGC(network.partition())
    for step in range(6):
        network.zero_grad()
        losses = losses_of(lambda a, b: network(a.to(dtype), b.to(dtype)), step)
        info = balancer.backward({s: 1e-4 * x.float() for s, x in losses.items()})
    assert all(
        m.mean.dtype == torch.float32 for block in info.blocks.values() for m in block.moments.values()
    )
    assert all(p.grad.dtype == dtype and bool(p.grad.any()) for p in network.parameters())


# targets of OGM-GE and CGGM


def test_ignored_samples_do_not_count():
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, -100, 2, -1, 1])
    kept = targets >= 0
    torch.testing.assert_close(scores({"a": logits}, targets), scores({"a": logits[kept]}, targets[kept]))
    for measure in (CLASSIFICATION.loss, CLASSIFICATION.merit):
        torch.testing.assert_close(measure(logits, targets), measure(logits[kept], targets[kept]))
    nothing = torch.full_like(targets, -100)
    assert float(CLASSIFICATION.loss(logits, nothing)) == float(CLASSIFICATION.merit(logits, nothing)) == 0


@pytest.mark.parametrize(
    ("targets", "error"),
    [
        (torch.rand(8, 3), DtypeError),
        (torch.randint(2, (8, 3)).double(), DtypeError),
        (torch.randint(2, (8, 3)), ShapeError),
        (torch.rand(8), DtypeError),
    ],
    ids=["soft", "multi-hot numbers", "multi-hot", "numbers"],
)
def test_soft_and_multi_hot_targets_are_refused_with_advice_that_fits(targets, error):
    model = MultimodalClassifier.for_samples({"a": torch.zeros(4), "b": torch.zeros(6)}, 3, 5)
    outputs = model({"a": torch.randn(8, 4), "b": torch.randn(8, 6)})
    losses = {"fusion": nn.functional.cross_entropy(outputs.fused, torch.arange(8) % 3, reduction="none")}
    with pytest.raises(error, match=r"^targets must.* another method") as caught:
        OGMGE(model.partition(), model.fusion.slices).backward(losses, outputs, targets)
    assert isinstance(caught.value, BogcError)
    assert all(p.grad is None for p in model.parameters())


def test_ogm_ge_trains_where_samples_are_ignored():
    model = MultimodalClassifier.for_samples({"a": torch.zeros(4), "b": torch.zeros(6)}, 3, 5)
    balancer = OGMGE(model.partition(), model.fusion.slices)
    for step in range(4):
        outputs = model({"a": torch.randn(8, 4), "b": torch.randn(8, 6)})
        targets = torch.arange(8) % 3 if step < 3 else torch.full((8,), -100)
        targets[:2] = -100
        losses = {"fusion": nn.functional.cross_entropy(outputs.fused, targets, reduction="none")}
        info = balancer.backward(losses, outputs, targets)
        assert all(0 < float(k) <= 1 for k in info.factors.values())
        assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in model.parameters())
