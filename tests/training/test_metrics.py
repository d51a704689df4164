import inspect
import json
import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional

from bogc.errors import (
    BogcError,
    DataError,
    MassSumError,
    NonFiniteError,
    RangeError,
    ShapeError,
    TooFewSamplesError,
)
from bogc.models import MultimodalClassifier
from bogc.training.metrics import (
    RISKS,
    HeldOutRisk,
    LatentQuality,
    _log_losses,
    calibration_error,
    evaluate,
    exact_latent_quality,
    latent_quality,
    predict,
    probe_accuracy,
    score,
    subsets,
)
from tests import tiny


@given(st.integers(0, 10**6))
def test_scores_against_definitions(seed: int):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(40, 4, generator=generator)
    targets = torch.randint(0, 4, (40,), generator=generator)
    scores = score(logits, targets)
    assert scores.accuracy == pytest.approx((logits.argmax(1) == targets).double().mean().item())
    assert scores.nll == pytest.approx(log_loss(targets, logits.double().softmax(1), labels=range(4)))
    f1 = []
    for k in set(targets.tolist()) | set(logits.argmax(1).tolist()):
        hit = ((logits.argmax(1) == k) & (targets == k)).sum().item()
        f1.append(2 * hit / ((logits.argmax(1) == k).sum().item() + (targets == k).sum().item()))
    assert scores.macro_f1 == pytest.approx(sum(f1) / len(f1))


def test_calibration_error_of_known_cases():
    assert calibration_error(torch.full((10,), 0.8), torch.tensor([1.0] * 8 + [0.0] * 2)) == pytest.approx(0)
    assert calibration_error(torch.full((10,), 0.9), torch.zeros(10)) == pytest.approx(0.9)
    assert calibration_error(torch.ones(3), torch.ones(3)) == 0.0


def test_probe_separates_what_is_separable():
    targets = torch.arange(60) % 3
    features = torch.nn.functional.one_hot(targets).double() + 0.05 * torch.randn(60, 3)
    assert probe_accuracy(features[:30], targets[:30], features[30:], targets[30:]) == 1.0


def test_evaluation_covers_every_modality_and_leaves_the_model_as_it_was():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float()
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train, test = data.subset(torch.arange(100)), data.subset(torch.arange(100, 150))
    evaluation = evaluate(model, train, test)
    assert (
        set(evaluation.unimodal) == set(evaluation.probes) == set(evaluation.without) == {"vector", "series"}
    )
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_removing_a_modality_is_predicting_without_it():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float().eval()
    expected = model({"series": data.inputs["series"]}).fused
    torch.testing.assert_close(predict(model, data, without="vector").fused, expected.detach())


def test_a_forward_pass_that_fails_leaves_the_model_in_training():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float().train()
    with pytest.raises(DataError, match="modalities must be among"):
        predict(model, data, without="smell")
    assert model.training


seeds = st.integers(0, 10**6)


def random_joint(seed: int, inputs: int, classes: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(inputs, classes, generator=generator, dtype=torch.float64) ** 3
    return weights / weights.sum()


def risk_by_enumeration(joint: Tensor, codes: list[int]) -> float:
    """Slow oracle: the smallest probability of error over every function from codes to classes."""
    cells = sorted(set(codes))
    risks = []
    for labels in product(range(joint.shape[1]), repeat=len(cells)):
        predict = dict(zip(cells, labels, strict=True))
        risks.append(1 - sum(joint[x, predict[z]].item() for x, z in enumerate(codes)))
    return min(risks)


@given(seeds, st.integers(2, 3), st.lists(st.integers(-1, 2), min_size=4, max_size=4))
def test_exact_quality_is_the_risk_of_the_best_pair_of_functions(seed: int, classes: int, codes: list[int]):
    joint = random_joint(seed, 4, classes)
    expected = risk_by_enumeration(joint, codes) - risk_by_enumeration(joint, list(range(4)))
    assert exact_latent_quality(joint, torch.tensor(codes)) == pytest.approx(expected, abs=1e-12)


@given(seeds, st.integers(2, 4))
def test_a_richer_representation_is_never_worse(seed: int, modalities: int):
    """Equation 6.26, over every chain of sets of binary modalities."""
    inputs = torch.tensor(list(product((0, 1), repeat=modalities)))
    joint = random_joint(seed, len(inputs), 3)
    powers = 2 ** torch.arange(modalities)
    quality = {
        kept: exact_latent_quality(joint, (inputs[:, list(kept)] * powers[list(kept)]).sum(1))
        for size in range(modalities + 1)
        for kept in combinations(range(modalities), size)
    }
    for fewer, more in product(quality, repeat=2):
        if set(fewer) <= set(more):
            assert quality[more] <= quality[fewer] + 1e-12
    assert quality[tuple(range(modalities))] == pytest.approx(0, abs=1e-12)


def test_exact_quality_of_exclusive_or():
    joint = torch.tensor([[0.25, 0], [0, 0.25], [0, 0.25], [0.25, 0]])
    assert exact_latent_quality(joint, torch.tensor([0, 0, 1, 1])) == 0.5
    assert exact_latent_quality(joint, torch.tensor([0, 1, 2, 3])) == 0


@pytest.mark.parametrize(
    ("joint", "codes", "error", "message"),
    [
        ([[0.5, 0.5]], [0, 1], ShapeError, r"joint must have shape \[2, C\]; found \[1, 2\]"),
        ([[1.5, -0.5]], [0], RangeError, r"joint must not be negative; found -0.5 at index \[0, 1\]"),
        ([[0.5, 0.4]], [0], MassSumError, "joint must sum to 1; found 0.9"),
        ([[math.nan, 0.4]], [0], NonFiniteError, r"joint must be finite; found nan at index \[0, 0\]"),
    ],
)
def test_exact_quality_rejects_what_is_no_distribution(
    joint: list, codes: list, error: type[BogcError], message: str
):
    with pytest.raises(BogcError, match=message) as caught:
        inspect.unwrap(exact_latent_quality)(torch.tensor(joint), torch.tensor(codes))
    assert caught.type is error


class FiniteProblem:
    """Two modalities of three values and two classes, with p(x, y) known, seen as one-hot features."""

    def __init__(self, seed: int) -> None:
        self.joint = random_joint(seed, 9, 2)
        self.codes = {
            ("a", "b"): torch.arange(9),
            ("a",): torch.arange(9) // 3,
            ("b",): torch.arange(9) % 3,
        }

    def sample(self, samples: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(self.joint.flatten(), samples, replacement=True, generator=generator)
        x, targets = drawn // 2, drawn % 2
        features = {m: functional.one_hot(self.codes[m,][x], 3).double() for m in "ab"}
        return features, targets

    def bayes_risks(self, subset: tuple[str, ...]) -> dict[str, float]:
        """Risk of the best predictor from the codes: zero-one, and log loss, the entropy H(y|z)."""
        merged = torch.zeros(9, 2).index_add_(0, self.codes[subset], self.joint)
        conditional = merged / merged.sum(1, keepdim=True).clamp(min=1e-300)
        entropy = -torch.xlogy(merged, conditional).sum()
        return {"zero_one": 1 - merged.amax(1).sum().item(), "log_loss": entropy.item()}


@pytest.mark.parametrize("seed", range(2))
def test_risks_converge_to_the_best_ones(seed: int):
    """Within .02 for the 3000 training samples: the standard error of a mean of 20000 losses is below .006.

    No risk lies more than 3.9 standard errors below the best one: for fresh seeds each of six means would
    fail at most once in 20000 times. Here the seeds are fixed.
    """
    problem = FiniteProblem(seed)
    train, test = problem.sample(3000, seed=10 + seed), problem.sample(20000, seed=20 + seed)
    found = latent_quality(*train, *test)
    whole = problem.bayes_risks(("a", "b"))
    for subset, codes in problem.codes.items():
        best = problem.bayes_risks(subset)
        for name in RISKS:
            risk = found.risk(name)[subset]
            assert abs(risk.mean - best[name]) < 0.02
            assert risk.mean > best[name] - 2 * risk.half  # half is 1.96 standard errors
            relative = found.relative_quality(name)[subset].mean
            assert abs(relative - (best[name] - whole[name])) < 0.02
        eta = exact_latent_quality(problem.joint, codes)
        assert found.risk("zero_one")[subset].mean - whole["zero_one"] == pytest.approx(eta, abs=0.02)


def gaussian(samples: int, seed: int, modalities: str = "ab") -> tuple[dict[str, Tensor], Tensor]:
    """Class centres 0, 1, 2 on each axis; modality "n" is noise."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(samples) % 3
    shift = {m: 0.0 if m == "n" else 1.0 for m in modalities}
    features = {
        m: shift[m] * functional.one_hot(targets, 3)
        + torch.randn(samples, 3, generator=generator, dtype=torch.float64)
        for m in modalities
    }
    return features, targets


def test_noise_changes_little_and_is_worthless_alone():
    found = latent_quality(*gaussian(900, 1, "abn"), *gaussian(2000, 2, "abn"))
    for name in RISKS:
        risk = {subset: interval.mean for subset, interval in found.risk(name).items()}
        assert abs(risk["a", "b", "n"] - risk["a", "b"]) < 0.02
        assert risk["a", "n"] > risk["a", "b", "n"] + 0.05
        assert risk["n",] == max(risk.values())
    assert found.risk("zero_one")["n",].mean == pytest.approx(2 / 3, abs=0.04)
    assert found.risk("log_loss")["n",].mean == pytest.approx(math.log(3), abs=0.02)


def test_a_head_that_is_not_linear_finds_exclusive_or():
    def sample(samples: int, seed: int) -> tuple[dict[str, Tensor], Tensor]:
        generator = torch.Generator().manual_seed(seed)
        bits = torch.randint(2, (2, samples, 1), generator=generator)
        noisy = 2.0 * bits - 1 + 0.2 * torch.randn(2, samples, 1, generator=generator, dtype=torch.float64)
        return {"a": noisy[0], "b": noisy[1]}, (bits[0] ^ bits[1])[:, 0]

    found = latent_quality(*sample(400, 0), *sample(400, 1))
    assert found.subsets["a", "b"].head == "perceptron"
    zero_one = found.risk("zero_one")
    assert zero_one["a", "b"].mean < 0.02
    assert min(zero_one["a",].mean, zero_one["b",].mean) > 0.4


@pytest.mark.parametrize(
    ("modalities", "expected"),
    [
        (("a",), [("a",)]),
        (("a", "b"), [("a", "b"), ("a",), ("b",)]),
        (
            ("a", "b", "c"),
            [("a", "b", "c"), ("a",), ("b",), ("c",), ("b", "c"), ("a", "c"), ("a", "b")],
        ),
    ],
)
def test_subsets_are_all_each_and_all_but_each(modalities: tuple[str, ...], expected: list[tuple[str, ...]]):
    assert subsets(modalities) == expected
    assert len(subsets(tuple("abcdef"))) == 13


@given(seeds, st.integers(1, 4))
def test_relative_quality_is_a_paired_difference_from_the_best(seed: int, sets: int):
    generator = torch.Generator().manual_seed(seed)
    losses = torch.rand(sets, 2, 20, generator=generator, dtype=torch.float64).numpy()
    quality = LatentQuality(
        {(str(i),): HeldOutRisk("h", dict(zip(RISKS, row, strict=True))) for i, row in enumerate(losses)}
    )
    for number, name in enumerate(RISKS):
        best = losses[:, number].mean(1).argmin()
        for i in range(sets):
            found = quality.relative_quality(name)[str(i),]
            difference = losses[i, number] - losses[best, number]
            assert found.mean == pytest.approx(difference.mean(), abs=1e-12)
            assert found.mean >= 0
            assert found.half == pytest.approx(2.093024 * difference.std(ddof=1) / 20**0.5, abs=1e-6)


def test_rows_are_plain_and_repeatable_and_leave_the_features_alone():
    train, test = gaussian(60, 1), gaussian(30, 2)
    before = {m: value.clone() for m, value in train[0].items()}
    first, second = (latent_quality(*train, *test, seed=3).rows() for _ in range(2))
    assert json.loads(json.dumps(first)) == first == second
    assert [row["modalities"] for row in first] == [["a", "b"], ["a"], ["b"]]
    assert set(first[0]["log_loss"]) == {"risk", "risk_half", "relative", "relative_half"}
    assert min(row["zero_one"]["relative"] for row in first) == 0
    assert all(torch.equal(before[m], value) for m, value in train[0].items())


def test_names_of_classes_order_of_rows_and_units_of_features_do_not_matter():
    (train, labels), (test, others) = gaussian(90, 1, "a"), gaussian(60, 2, "a")
    names, order = torch.tensor([7, 20, 100]), torch.randperm(60)
    plain = latent_quality(train, labels, test, others)
    renamed = latent_quality(
        {"a": 1000 * train["a"] - 5}, names[labels], {"a": 1000 * test["a"][order] - 5}, names[others][order]
    )
    for name in RISKS:
        assert renamed.risk(name)["a",].mean == pytest.approx(plain.risk(name)["a",].mean, abs=1e-6)


def test_a_class_ruled_out_costs_much_but_not_all():
    losses = _log_losses(np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([3, 3]), np.array([2, 3]))
    assert losses.tolist() == pytest.approx([52 * math.log(2), -math.log(0.75)])


def test_measures_the_features_of_a_network():
    data = tiny.load()
    model = MultimodalClassifier.for_samples({m: v[0] for m, v in data.inputs.items()}, 3, 8).float()
    train, test = data.subset(torch.arange(100)), data.subset(torch.arange(100, 150))
    seen, unseen = predict(model, train).features, predict(model, test).features
    found = latent_quality(seen, train.targets, unseen, test.targets)
    assert list(found.subsets) == [("vector", "series"), ("vector",), ("series",)]
    assert found.risk("zero_one")["vector", "series"].mean < 0.5


def case(**changes: object) -> dict[str, object]:
    (train, labels), (test, others) = gaussian(12, 1), gaussian(6, 2)
    good = {"train_features": train, "train_targets": labels, "test_features": test, "test_targets": others}
    return {**good, **changes}


FEATURES = torch.ones(12, 3)
CASES = [
    ({"train_features": {}}, DataError, "train_features must hold at least one modality; found none"),
    (
        {"train_features": {"a": FEATURES, "b": torch.full((12, 3), math.nan)}},
        NonFiniteError,
        r"train_features\['b'\] must be finite; found nan at index \[0, 0\]",
    ),
    (
        {"train_features": {"a": FEATURES, "b": torch.ones(11, 3)}},
        ShapeError,
        r"train_features\['b'\] must have shape \[12, F\], a row for each of train_targets; found \[11, 3\]",
    ),
    (
        {"test_features": {"a": torch.ones(6, 3), "b": torch.ones(6, 3, 2)}},
        ShapeError,
        r"test_features\['b'\] must have shape \[6, F\], .*; found \[6, 3, 2\]",
    ),
    (
        {"test_features": {"a": torch.ones(6, 3), "b": torch.ones(6, 2)}},
        ShapeError,
        r"test_features\['b'\] must have 3 columns; found 2",
    ),
    (
        {"test_features": {"a": torch.ones(6, 3)}},
        DataError,
        r"test_features must have the modalities \['a', 'b'\]; found \['a'\]",
    ),
    (
        {"train_targets": torch.full((12,), 2)},
        DataError,
        "train_targets must have at least two classes; found only class 2",
    ),
    (
        {"train_targets": torch.tensor([0] * 10 + [4] * 2)},
        TooFewSamplesError,
        "train_targets must have at least 3 samples of each class, one a fold; found 2 of class 4",
    ),
    (
        {"test_targets": torch.tensor([0, 1, 2, 3, 0, 0])},
        DataError,
        r"test_targets must be classes of train_targets; found \[3\]",
    ),
    (
        {"test_features": {"a": torch.ones(1, 3), "b": torch.ones(1, 3)}, "test_targets": torch.tensor([0])},
        TooFewSamplesError,
        "test_targets must be at least two; found 1",
    ),
    ({"seed": -1}, RangeError, r"seed must lie in \[0, 2\*\*32\); found -1"),
]


@pytest.mark.parametrize(("changes", "error", "message"), CASES)
def test_rejects_what_cannot_be_measured(changes: dict, error: type[BogcError], message: str):
    with pytest.raises(BogcError, match=message) as caught:
        latent_quality(**case(**changes))
    assert caught.type is error
