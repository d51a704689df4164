import copy
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bogc.errors import ConfigError, NonFiniteError, RangeError
from bogc.methods import JointTraining, ReleasedCGGM
from bogc.methods.tasks import CLASSIFICATION, SENTIMENT, Task
from bogc.models import FUSIONS, ModalOutputs, MultimodalClassifier
from tests.networks import gradients_of
from tests.oracles import cggm as oracle

from .methods import assert_gradients_close, frozen

SIZES = {"text": 4, "audio": 6, "vision": 5}
FEATURES = 5


def network(fusion: str = "film", classes: int = 3) -> MultimodalClassifier:
    encoders = {m: nn.Sequential(nn.Linear(size, FEATURES), nn.Tanh()) for m, size in SIZES.items()}
    return MultimodalClassifier(encoders, FUSIONS[fusion](tuple(SIZES), FEATURES, classes))


def classifiers_for(classes: int = 3) -> nn.ModuleDict:
    hidden = {m: nn.Sequential(nn.Linear(FEATURES, 6), nn.Tanh(), nn.Linear(6, FEATURES)) for m in SIZES}
    return nn.ModuleDict({m: nn.Sequential(hidden[m], nn.Linear(FEATURES, classes)) for m in SIZES})


def batch(seed: int = 0, samples: int = 12, classes: int = 3) -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = {m: torch.randn(samples, size, generator=generator) for m, size in SIZES.items()}
    return inputs, torch.randint(classes, (samples,), generator=generator)


def per_sample(outputs: ModalOutputs, targets: Tensor, task: Task) -> dict[str, Tensor]:
    if task is SENTIMENT:
        return {"fusion": (outputs.fused.squeeze(1) - targets).abs()}
    return {"fusion": functional.cross_entropy(outputs.fused, targets, reduction="none")}


def build(model: MultimodalClassifier, classes: int = 3, **settings) -> ReleasedCGGM:
    classifiers = classifiers_for(classes).to(next(model.parameters()).dtype)
    optimiser = torch.optim.Adam(classifiers.parameters(), lr=settings.pop("lr", 0.05))
    return ReleasedCGGM(model.partition(), classifiers, optimiser, model.fusion.weights, **settings)


def backward(model, balancer, inputs, targets, task: Task = CLASSIFICATION):
    outputs = model(inputs)
    model.zero_grad(set_to_none=True)
    return balancer.backward(per_sample(outputs, targets, task), outputs, targets)


def sign_accuracy(predictions: Tensor, targets: Tensor) -> float:
    pairs = zip(predictions.flatten().tolist(), targets.flatten().tolist(), strict=True)
    return sum((p > 0) == (t > 0) for p, t in pairs) / len(targets)


def transcription(model, balancer, task: Task = CLASSIFICATION, lr: float = 0.05) -> oracle.ReleasedLoop:
    twins = copy.deepcopy(balancer.classifiers)
    classify = task is CLASSIFICATION
    return oracle.ReleasedLoop(
        [twins[m] for m in SIZES],
        [twins[m][-1].weight for m in SIZES],
        torch.optim.Adam(twins.parameters(), lr=lr),
        rho=balancer.rho,
        lam=balancer.direction,
        clip=balancer.clip,
        criterion=nn.CrossEntropyLoss() if classify else lambda z, t: (z.squeeze(1) - t).abs().mean(),
        accuracy=oracle.class_accuracy if classify else sign_accuracy,
    )


def meets(model: MultimodalClassifier, fusion: str) -> list[tuple[str, slice]]:
    if fusion == "concat":
        columns = [slice(i * FEATURES, (i + 1) * FEATURES) for i in range(3)]
        return [("fusion.linear.weight", part) for part in columns]
    if fusion == "sum":
        return [(f"fusion.linears.{m}.weight", slice(None)) for m in SIZES]
    return [("fusion.output.weight", slice(None))] * 3


def transcribed(model, loop: oracle.ReleasedLoop, fusion: str, inputs, targets) -> dict[str, Tensor]:
    outputs = model(inputs)
    named = {n: p for n, p in model.named_parameters() if not n.startswith("heads")}
    owner = {n: list(SIZES).index(n.split(".")[1]) for n in named if n.startswith("encoders")}
    features = [outputs.features[m] for m in SIZES]
    found = loop.step(named, owner, meets(model, fusion), outputs.fused, features, targets)
    return {name: torch.tensor(gradient) for name, gradient in found.items()}


@pytest.mark.parametrize("clip", [0.8, 1e6])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_equals_the_transcription_over_several_steps(fusion, clip):
    """FiLM and gated heads have one output layer for all, as the released network; slices are ours."""
    model = network(fusion)
    balancer = build(model, clip=clip)
    loop = transcription(model, balancer)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for seed in range(12):
        inputs, targets = batch(seed)
        expected = transcribed(model, loop, fusion, inputs, targets)
        info = backward(model, balancer, inputs, targets)
        assert_gradients_close(gradients_of(model), expected, rtol=1e-7)
        factors = [info.factors[m].item() for m in SIZES]
        assert factors == pytest.approx([1.3 * b for b in loop.balance], rel=1e-7)
        optimiser.step()
        for own, twin in zip(balancer.classifiers.values(), loop.classifiers, strict=True):
            for mine, theirs in zip(own.parameters(), twin.parameters(), strict=True):
                torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


def test_equals_the_transcription_with_signed_scores():
    model = network("gated", classes=1)
    balancer = build(model, classes=1, task=SENTIMENT)
    loop = transcription(model, balancer, SENTIMENT)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for seed in range(6):
        inputs, _ = batch(seed)
        targets = inputs["text"].sum(1)
        expected = transcribed(model, loop, "gated", inputs, targets)
        backward(model, balancer, inputs, targets, SENTIMENT)
        assert_gradients_close(gradients_of(model), expected, rtol=1e-7)
        optimiser.step()


def test_no_gain_divides_by_what_was_added_to_the_denominator():
    """The same batch twice and classifiers that stand still: every gain is 0, so every B is 1."""
    model = network()
    balancer = build(model, lr=0.0)
    backward(model, balancer, *batch())
    factors = backward(model, balancer, *batch()).factors
    assert [k.item() for k in factors.values()] == [1.3] * 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gains_that_cancel_leave_1e_8_whatever_the_dtype(dtype):
    """Accuracies of 12 samples are not exact in float32, where such gains would not sum to 1e-8."""
    right = [(5, 7, 3), (7, 6, 2), (6, 1, 8), (10, 2, 3), (3, 8, 4)]  # 15 in every step
    balancer, targets = build(network().to(dtype)), batch()[1]
    merits = [
        {
            m: balancer.task.merit(answers(targets, n).to(dtype), targets)
            for m, n in zip(SIZES, row, strict=True)
        }
        for row in right
    ]
    for step in range(1, len(right)):
        found = [b.item() for b in balancer.balance(merits[step], merits[step - 1]).values()]
        gains = [now / 12 - then / 12 for now, then in zip(right[step], right[step - 1], strict=True)]
        assert found == pytest.approx(oracle.released_balance(gains), rel=1e-6)


def answers(targets: Tensor, right: int) -> Tensor:
    """Logits of which exactly ``right`` have the true class on top."""
    chosen = torch.where(torch.arange(len(targets)) < right, targets, (targets + 1) % 3)
    return functional.one_hot(chosen, 3)


def test_the_direction_loss_pulls_only_on_the_head_and_one_step_late():
    """Without clipping: the first step does not depend on lambda, and no encoder ever does."""
    model = network()
    plain, pulled = build(model, direction=0.0, clip=0.0), build(model, direction=0.7, clip=0.0)
    pulled.load_state_dict(plain.state_dict())
    for seed in range(3):
        backward(model, plain, *batch(seed))
        without = {name: gradient.clone() for name, gradient in gradients_of(model).items()}
        backward(model, pulled, *batch(seed))
        found = gradients_of(model)
        changed = {name for name in found if not torch.equal(found[name], without[name])}
        assert changed == ({"fusion.output.weight"} if seed else set())


@pytest.mark.parametrize("clip", [1e-3, 0.8])
def test_the_norm_of_the_whole_gradient_is_clipped(clip):
    model = network()
    balancer = build(model, clip=clip)
    backward(model, balancer, *batch())
    norm = torch.nn.utils.get_total_norm(gradients_of(model).values())
    assert norm <= clip
    if clip < 0.1:
        assert norm.item() == pytest.approx(clip, rel=1e-2)


def test_without_strength_direction_and_clipping_it_is_joint_training():
    model = network()
    balancer = build(model, strength=0.0, direction=0.0, clip=0.0)
    for seed in range(3):
        backward(model, JointTraining(model.partition()), *batch(seed))
        expected = {name: gradient.clone() for name, gradient in gradients_of(model).items()}
        backward(model, balancer, *batch(seed))
        assert_gradients_close(gradients_of(model), expected, rtol=1e-13)


def test_a_missing_modality_keeps_its_merit_and_its_classifier():
    model = network()
    balancer = build(model)
    backward(model, balancer, *batch())
    before = frozen(balancer.state_dict()["state"]["merits"])
    untouched = copy.deepcopy(balancer.classifiers["audio"].state_dict())
    inputs, targets = batch(1)
    info = backward(model, balancer, {m: inputs[m] for m in ("text", "vision")}, targets)
    after = frozen(balancer.state_dict()["state"]["merits"])
    assert set(info.factors) == {"text", "vision"}
    assert after["audio"] == before["audio"]
    assert not any(name.startswith("encoders.audio") for name in gradients_of(model))
    assert frozen(balancer.classifiers["audio"].state_dict()) == frozen(untouched)


def test_a_restored_state_continues_bit_for_bit():
    model = network()
    first = build(model)
    for seed in range(3):
        backward(model, first, *batch(seed))
    stored = copy.deepcopy(first.state_dict())
    second = build(model)
    second.load_state_dict(stored)
    for seed in (3, 4):
        backward(model, first, *batch(seed))
        expected = {name: gradient.clone() for name, gradient in gradients_of(model).items()}
        backward(model, second, *batch(seed))
        assert all(torch.equal(gradient, expected[name]) for name, gradient in gradients_of(model).items())
        assert frozen(first.state_dict()) == frozen(second.state_dict())


def test_a_nan_changes_nothing():
    model = network()
    balancer = build(model)
    backward(model, balancer, *batch())
    before = frozen(balancer.state_dict())
    gradients = {name: gradient.clone() for name, gradient in gradients_of(model).items()}
    inputs, targets = batch(1)
    outputs = model(inputs)
    losses = {"fusion": per_sample(outputs, targets, CLASSIFICATION)["fusion"] * math.nan}
    with pytest.raises(NonFiniteError, match=r"losses\['fusion'\] must be finite"):
        balancer.backward(losses, outputs, targets)
    assert frozen(balancer.state_dict()) == before
    assert all(torch.equal(gradient, gradients[name]) for name, gradient in gradients_of(model).items())


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (nn.Linear(5, 4), r"^classifiers\['text'\] must end in a weight of 15 elements.*found 20"),
        (nn.Bilinear(5, 5, 3), r"^classifiers must have a linear layer.*found Bilinear"),
    ],
    ids=["size", "none"],
)
def test_a_classifier_ends_in_a_layer_like_the_heads(last, message):
    model = network()
    classifiers = nn.ModuleDict(dict.fromkeys(SIZES, last))
    optimiser = torch.optim.SGD(classifiers.parameters(), 0.1)
    with pytest.raises(ConfigError, match=message):
        ReleasedCGGM(model.partition(), classifiers, optimiser, model.fusion.weights)


def test_the_clip_is_not_negative():
    with pytest.raises(RangeError, match=r"^clip must not be negative; found -1"):
        build(network(), clip=-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_dtypes_and_devices(dtype, device):
    model = network("concat").to(device, dtype)
    classifiers = classifiers_for().to(device, torch.float32)
    optimiser = torch.optim.Adam(classifiers.parameters(), lr=1e-3)
    balancer = ReleasedCGGM(model.partition(), classifiers, optimiser, model.fusion.weights)
    for seed in range(3):
        inputs, targets = batch(seed)
        outputs = model({m: x.to(device, dtype) for m, x in inputs.items()})
        targets = targets.to(device)
        loss = functional.cross_entropy(outputs.fused.float(), targets, reduction="none")
        balancer.backward({"fusion": loss}, outputs, targets)
    assert all(g.dtype == dtype and bool(g.isfinite().all()) for g in gradients_of(model).values())
