import copy
import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from bogc.errors import (
    ConfigError,
    DataError,
    DtypeError,
    NonFiniteError,
    PartitionError,
    ShapeError,
)
from bogc.gradients import FUSION, SHARED
from bogc.models import FUSIONS, ConcatFusion, ModalOutputs, encoder_for
from bogc.models.product_of_experts import JOINT, JointExpert, ProductOfExperts, product_of_experts

SAMPLES = {"a": torch.zeros(5), "b": torch.zeros(2, 24), "c": torch.zeros(4)}
CLASSES = 4
seeds = st.integers(0, 10**6)


def build(modalities: str = "ab", fusion: str = "concat") -> ProductOfExperts:
    samples = {m: SAMPLES[m] for m in modalities}
    return ProductOfExperts.for_samples(samples, CLASSES, features=6, fusion=FUSIONS[fusion])


def inputs(modalities: str = "ab", samples: int = 7) -> dict[str, Tensor]:
    return {m: torch.randn(samples, *SAMPLES[m].shape) for m in modalities}


def losses_of(outputs: ModalOutputs, targets: Tensor) -> dict[str, Tensor]:
    """Mean cross-entropy of the product and of each expert."""
    logits = {FUSION: outputs.fused, **outputs.unimodal}
    return {source: functional.cross_entropy(value.float(), targets) for source, value in logits.items()}


def random_logits(seed: int, experts: int, scale: float = 3.0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"e{i}": scale * torch.randn(6, CLASSES, generator=generator, dtype=torch.float64)
        for i in range(experts)
    }


def multiplied(logits: Mapping[str, Tensor], prior: list[float] | None = None) -> Tensor:
    """Slow oracle: the probabilities of each sample multiplied class by class, then divided by their sum."""
    rows = []
    for n in range(len(next(iter(logits.values())))):
        products = []
        for y in range(CLASSES):
            value = 1.0 if prior is None else prior[y] ** (1 - len(logits.keys() - {JOINT}))
            for f in logits.values():
                exponentials = [math.exp(v) for v in f[n].tolist()]
                value *= exponentials[y] / sum(exponentials)
            products.append(value)
        rows.append([value / sum(products) for value in products])
    return torch.tensor(rows, dtype=torch.float64)


@given(seeds, st.integers(1, 4))
def test_product_is_the_normalised_product_of_probabilities(seed: int, experts: int):
    logits = random_logits(seed, experts)
    found = product_of_experts(logits).exp()
    torch.testing.assert_close(found, multiplied(logits))
    torch.testing.assert_close(found.sum(1), torch.ones(6))


@given(seeds, st.permutations(range(4)))
def test_order_of_the_experts_does_not_matter(seed: int, order: list[int]):
    logits = random_logits(seed, 4)
    permuted = {f"e{i}": logits[f"e{i}"] for i in order}
    torch.testing.assert_close(product_of_experts(permuted), product_of_experts(logits))


@given(seeds, st.floats(-1e6, 1e6))
def test_constants_of_an_expert_and_experts_that_know_nothing_cancel(seed: int, shift: float):
    logits = random_logits(seed, 2)
    other = {"e0": logits["e0"] + shift, "e1": logits["e1"], "flat": torch.full((6, CLASSES), shift)}
    torch.testing.assert_close(product_of_experts(other), product_of_experts(logits), rtol=0, atol=1e-8)


def test_an_expert_with_a_large_constant_does_not_blur_the_others():
    logits = {name: f.round().float() for name, f in random_logits(0, 1).items()}  # so that the sum is exact
    logits["e1"] = random_logits(1, 1)["e0"].float()
    shifted = {**logits, "e0": logits["e0"] + 2.0**20}
    torch.testing.assert_close(product_of_experts(shifted), product_of_experts(logits))


@given(seeds, st.booleans())
def test_corrected_product_divides_by_the_prior(seed: int, joint: bool):
    logits = random_logits(seed, 3)
    if joint:
        logits[JOINT] = logits.pop("e2")
    prior = [0.1, 0.2, 0.3, 0.4]
    found = product_of_experts(logits, torch.tensor(prior).log())
    torch.testing.assert_close(found.exp(), multiplied(logits, prior))


@given(seeds)
def test_correction_recovers_the_posterior_of_independent_modalities(seed: int):
    """Equation 6.21: p(y|x) from p(y|x_m), for p(y) prod p(x_m|y) over finite x_m and a free selection."""
    generator = torch.Generator().manual_seed(seed)
    prior = torch.rand(CLASSES, generator=generator, dtype=torch.float64) + 0.1
    prior = prior / prior.sum()
    first, second = (
        torch.rand(CLASSES, 3, generator=generator, dtype=torch.float64).add(0.1).log_softmax(1).exp()
        for _ in range(2)
    )
    selection = torch.rand(3, 3, CLASSES, generator=generator, dtype=torch.float64) + 0.01
    table = prior * first.T[:, None] * second.T[None]
    posterior = table * selection / (table * selection).sum(2, keepdim=True)
    single = [(prior * p.T / (prior * p.T).sum(1, keepdim=True)).log() for p in (first, second)]
    x1, x2 = torch.cartesian_prod(torch.arange(3), torch.arange(3)).T
    logits = {"a": single[0][x1], "b": single[1][x2], JOINT: selection[x1, x2].log()}
    found = product_of_experts(logits, prior.log()).exp()
    torch.testing.assert_close(found, posterior[x1, x2])


@given(seeds)
def test_one_residual_for_every_expert(seed: int):
    """Equation 6.24."""
    logits = {name: f.requires_grad_() for name, f in random_logits(seed, 3).items()}
    targets = torch.arange(6) % CLASSES
    fused = product_of_experts(logits)
    found = torch.autograd.grad(functional.nll_loss(fused, targets, reduction="sum"), list(logits.values()))
    expected = fused.detach().exp() - functional.one_hot(targets, CLASSES)
    for gradient in found:
        torch.testing.assert_close(gradient, expected)


def test_half_precision_is_multiplied_in_float32(device: torch.device):
    logits = {name: f.bfloat16().to(device) for name, f in random_logits(0, 3, scale=1000.0).items()}
    found = product_of_experts(logits)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    expected = product_of_experts({name: f.double() for name, f in logits.items()})
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        ({}, DataError, "logits must hold at least one expert; found none"),
        (
            {"a": torch.zeros(2, 3), "b": torch.zeros(3, 3)},
            ShapeError,
            r"logits must have one shape \[N, C\]; found {'a': \[2, 3\], 'b': \[3, 3\]}",
        ),
        (
            {"a": torch.zeros(2, 3), "b": torch.zeros(2, 3).double()},
            DtypeError,
            "logits must have one dtype",
        ),
    ],
)
def test_rejects_experts_that_do_not_fit(logits: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        product_of_experts(logits)


def test_rejects_a_prior_of_other_classes():
    with pytest.raises(ShapeError, match=r"log_prior must have shape \[4\], one a class; found \[3\]"):
        ProductOfExperts(
            {"a": encoder_for(SAMPLES["a"], 6)},
            JointExpert({"a": encoder_for(SAMPLES["a"], 6)}, ConcatFusion(("a",), 6, CLASSES)),
            torch.zeros(3),
        )
    with pytest.raises(NonFiniteError, match="log_prior must be finite; found -inf"):
        ProductOfExperts(
            {"a": encoder_for(SAMPLES["a"], 6)},
            JointExpert({"a": encoder_for(SAMPLES["a"], 6)}, ConcatFusion(("a",), 6, CLASSES)),
            torch.tensor([0.0, 0.5, 0.5, 0.0]).log(),
        )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("modalities", ["a", "ab", "abc"])
def test_returns_product_experts_and_features(modalities: str, fusion: str):
    model = build(modalities, fusion)
    outputs = model(inputs(modalities))
    assert list(outputs.unimodal) == [*modalities, JOINT]
    assert {m: f.shape for m, f in outputs.features.items()} == dict.fromkeys(modalities, (7, 6))
    torch.testing.assert_close(outputs.fused.exp(), multiplied(outputs.unimodal))
    for m in modalities:
        torch.testing.assert_close(outputs.unimodal[m], model.heads[m](outputs.features[m]))


@pytest.mark.parametrize("training", [True, False])
def test_joint_expert_sees_every_modality_and_others_only_their_own(training: bool):
    model = build("abc").train(training)
    given = {m: value.requires_grad_() for m, value in inputs("abc").items()}
    outputs = model(given)
    for expert, logits in outputs.unimodal.items():
        found = torch.autograd.grad(logits[0].square().sum(), list(given.values()), allow_unused=True)
        reached = {m for m, g in zip(given, found, strict=True) if g is not None and g.abs().sum() > 0}
        assert reached == (set(given) if expert == JOINT else {expert})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("modalities", "present"), [("ab", "a"), ("ab", "b"), ("abc", "ac"), ("abc", "b")])
def test_a_missing_modality_drops_its_expert_and_the_joint_one(modalities: str, present: str, training: bool):
    model, given = build(modalities).train(training), inputs(modalities)
    full = copy.deepcopy(model)(given)  # a copy, since training moves BatchNorm's running statistics
    outputs = model({m: given[m] for m in present})
    assert list(outputs.unimodal) == list(outputs.features) == list(present)
    for m in present:
        torch.testing.assert_close(outputs.unimodal[m], full.unimodal[m])
    torch.testing.assert_close(outputs.fused, product_of_experts({m: full.unimodal[m] for m in present}))


def test_prior_of_the_model_is_counted_by_the_experts_at_hand():
    plain = build("ab").eval()
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    model = ProductOfExperts(dict(plain.encoders.items()), plain.joint, prior).eval()
    model.heads = plain.heads
    given = inputs()
    expected = plain(given).fused - prior  # (1 - M) log p(y) of two experts
    torch.testing.assert_close(model(given).fused, expected.log_softmax(1))
    alone = {"a": given["a"]}
    torch.testing.assert_close(model(alone).fused, plain(alone).fused)  # no prior is counted twice
    assert torch.equal(model.state_dict()["log_prior"], prior)
    assert "log_prior" not in plain.state_dict()


@pytest.mark.parametrize("modalities", ["a", "ab", "abc"])
def test_partition_gives_every_parameter_to_one_expert(modalities: str):
    model = build(modalities)
    partition = model.partition()
    assert partition.modalities == (*modalities, JOINT)
    assert sum(block.size for block in partition.blocks) == sum(p.numel() for p in model.parameters())
    assert SHARED not in {block.modality for block in partition.blocks}
    for block in partition.blocks:
        first, second, *_ = block.name.split(".")
        assert block.modality == (JOINT if first == JOINT else second)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_training_apart_is_minimising_the_sum_of_the_experts_losses(fusion: str):
    model = build("abc", fusion)
    given, targets = inputs("abc", 12), torch.arange(12) % CLASSES
    alone = {m: copy.deepcopy(nn) for m, nn in experts(model).items()}
    losses = losses_of(model(given), targets)
    torch.stack([loss for source, loss in losses.items() if source != FUSION]).sum().backward()
    for expert, module in experts(model).items():
        logits = alone[expert](given if expert == JOINT else given[expert])
        functional.cross_entropy(logits.float(), targets).backward()
        for p, q in zip(module.parameters(), alone[expert].parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad)


def experts(model: ProductOfExperts) -> dict[str, torch.nn.Module]:
    own = {m: torch.nn.Sequential(encoder, model.heads[m]) for m, encoder in model.encoders.items()}
    return {**own, JOINT: model.joint}


def test_loss_of_an_expert_reaches_its_own_parameters_only():
    model = build("ab")
    losses = losses_of(model(inputs()), torch.arange(7) % CLASSES)
    owner = {id(p): block.modality for block in model.partition().blocks for p in block.parameters}
    parameters = list(model.parameters())
    for source, loss in losses.items():
        found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
        reached = {owner[id(p)] for p, g in zip(parameters, found, strict=True) if g is not None}
        assert reached == ({"a", "b", JOINT} if source == FUSION else {source})


def test_every_expert_feels_the_residual_of_the_product():
    """Equation 6.24 through the network."""
    model = build("ab")
    targets = torch.arange(7) % CLASSES
    outputs = model(inputs())
    loss = functional.nll_loss(outputs.fused, targets, reduction="sum")
    found = torch.autograd.grad(loss, list(outputs.unimodal.values()))
    expected = outputs.fused.detach().exp() - functional.one_hot(targets, CLASSES)
    assert len(found) == 3
    for gradient in found:
        torch.testing.assert_close(gradient, expected)


def test_evaluation_does_not_depend_on_the_batch():
    model, given = build("ab"), inputs()
    model(given)  # moves the running statistics
    model.eval()
    whole = model(given).fused
    parts = [model({m: value[n : n + 1] for m, value in given.items()}).fused for n in range(7)]
    torch.testing.assert_close(torch.cat(parts), whole)
    model.train()
    assert not torch.allclose(model(given).fused, whole)


def test_bfloat16_autocast_trains_and_stays_finite(device: torch.device):
    model = build("ab").float().to(device)
    given = {m: value.float().to(device) for m, value in inputs("ab", 40).items()}
    targets = (torch.arange(40) % CLASSES).to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    fused = []
    for _ in range(20):
        optimiser.zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16):
            outputs = model(given)
        assert outputs.fused.dtype == torch.float32
        losses = losses_of(outputs, targets)
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
        fused.append(losses[FUSION].item())
    assert fused[-1] < 0.9 * fused[0]
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("name", [JOINT, "fusion", "shared", "fused"])
def test_rejects_reserved_names(name: str):
    with pytest.raises(PartitionError, match=rf"must not use the reserved names; found \['{name}'\]"):
        ProductOfExperts.for_samples({"a": torch.zeros(5), name: torch.zeros(5)}, CLASSES)


def test_rejects_a_joint_expert_of_other_modalities():
    own = {m: encoder_for(SAMPLES[m], 6) for m in "ab"}
    common = {m: encoder_for(SAMPLES[m], 6) for m in "ab"}
    rule = r"joint must have the modalities \['a', 'b'\]"
    with pytest.raises(ConfigError, match=rf"{rule}; found encoders of \['a'\]"):
        ProductOfExperts(own, JointExpert({"a": common["a"]}, ConcatFusion(("a", "b"), 6, CLASSES)))
    with pytest.raises(ConfigError, match=rf"{rule}; found .* fusion of \['a'\]"):
        ProductOfExperts(own, JointExpert(common, ConcatFusion(("a",), 6, CLASSES)))


def test_rejects_an_encoder_in_two_experts():
    own = {m: encoder_for(SAMPLES[m], 6) for m in "ab"}
    model = ProductOfExperts(own, JointExpert(own, ConcatFusion(("a", "b"), 6, CLASSES)))
    with pytest.raises(PartitionError, match="modalities 'a' and 'joint' must not overlap"):
        model.partition()


@pytest.mark.parametrize(
    ("given", "found"),
    [({}, "none"), ({"z": torch.zeros(2, 5)}, r"unknown \['z'\]"), ({JOINT: torch.zeros(2, 5)}, "unknown")],
)
def test_rejects_unknown_or_no_modality(given: dict, found: str):
    with pytest.raises(DataError, match=rf"inputs must hold some of \['a', 'b'\]; found {found}"):
        build("ab")(given)
