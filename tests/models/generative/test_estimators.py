import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from bogc.errors import (
    BogcError,
    ConfigError,
    DataError,
    DeviceError,
    DtypeError,
    NonFiniteError,
    RangeError,
    ShapeError,
)
from bogc.models.generative import (
    FitProgress,
    MultimodalBernoulliRBM,
    MultimodalDeepRNN,
    MultiPrediction,
    PerceptronCD,
    PersistentCD,
    Schedule,
    Sparsity,
    fill,
)
from tests.models.generative.oracle import states

FREE = Sparsity(0.0, 0.5)
SHORT = Schedule(epochs=2, batch_size=32)
Estimator = MultimodalBernoulliRBM | MultimodalDeepRNN


def mirrored() -> dict[str, np.ndarray]:
    """The right half is the left one reversed: each determines the other."""
    left = np.tile(states(4), (2, 1))
    return {"left": left, "right": left[:, ::-1]}


def shallow(**settings: object) -> MultimodalBernoulliRBM:
    return MultimodalBernoulliRBM(**({"hidden": 8, "schedule": SHORT} | settings))


def deep(**settings: object) -> MultimodalDeepRNN:
    defaults = {
        "layers": {"left": (6,)}, "hidden": 8, "pretraining": SHORT, "schedule": SHORT,
        "path_objective": PersistentCD(1, 10), "joint_objective": PerceptronCD(1),
    }  # fmt: skip
    return MultimodalDeepRNN(**(defaults | settings))


either = pytest.mark.parametrize("make", [shallow, deep])


@pytest.mark.parametrize(
    "objective",
    [PersistentCD(3, 100, FREE), PerceptronCD(3, FREE), MultiPrediction(2, 0.25, FREE)],
    ids=lambda o: type(o).__name__,
)
def test_recovers_a_deterministic_relation(objective):
    X = mirrored()
    longer = Schedule(epochs=150, batch_size=32, rate=1.0, l2=0.0)
    model = MultimodalBernoulliRBM(24, objective, longer, fill_rounds=50).fit(X)
    for known, missing in (("left", "right"), ("right", "left")):
        filled = model.impute({known: X[known]})
        assert list(filled) == [missing]
        assert (filled[missing].round() == X[missing]).mean() > 0.95


def test_fine_tuning_a_deep_network_recovers_a_deterministic_relation():
    left = np.tile(
        np.repeat(states(2), 3, axis=1), (16, 1)
    )  # pre-training has something to find in each half
    X = {"left": left, "right": 1 - left[:, ::-1]}
    pcd = PersistentCD(1, 50, FREE)
    before = Schedule(epochs=40, batch_size=32, rate=0.5, l2=0.0)
    after = Schedule(epochs=60, batch_size=32, rate=0.5, l2=0.0)
    objective = MultiPrediction(1, 0.0, FREE)
    model = MultimodalDeepRNN({"left": (12,)}, 16, objective, pcd, pcd, before, after, fill_rounds=20).fit(X)
    assert model.objectives_[-1] < 0.3 * model.objectives_[0]
    for known, missing in (("left", "right"), ("right", "left")):
        np.testing.assert_array_equal(model.impute({known: X[known]})[missing].round(), X[missing])


@either
def test_parameters_can_be_read_set_and_cloned(make):
    model = make(seed=3)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    assert twin.set_params(hidden=5).hidden == 5
    assert model.get_params()["hidden"] == 8
    assert not hasattr(twin, "model_")
    assert "seed=3" in repr(model)
    with pytest.raises(ValueError, match="Invalid parameter 'depth'"):
        model.set_params(depth=3)


def test_defaults_are_those_published():
    model = MultimodalBernoulliRBM()
    assert (model.hidden, model.schedule, model.tolerance) == (1000, Schedule(), 1e-5)
    assert model.objective == PersistentCD(10, 500, Sparsity(0.3, 0.05, 0.9))
    assert PerceptronCD() == PerceptronCD(10, Sparsity(0.1, 0.1, 0.9))
    assert MultiPrediction() == MultiPrediction(5, 0.25, Sparsity(0.1, 0.1, 0.9))


@either
def test_features_of_whole_and_partial_samples(make):
    X = mirrored()
    model = make()
    assert model.fit_transform(X).shape == (32, 8)
    features = model.transform({"right": X["right"]})
    assert features.shape == (32, 8)
    assert features.dtype == np.float32
    assert model.impute(X) == {}
    expected = fill(model.model_, {"right": torch.tensor(X["right"].copy(), dtype=torch.float32)}, 1e-5, 10)
    np.testing.assert_array_equal(features, expected.hidden.numpy())


def test_takes_tensors_integers_and_booleans_alike():
    X = mirrored()
    model = shallow().fit(X)
    expected = model.transform(X)
    for convert in (torch.tensor, np.int64, bool, np.float32):
        given = {
            name: convert(v.copy()) if convert is torch.tensor else v.astype(convert) for name, v in X.items()
        }
        np.testing.assert_array_equal(model.transform(given), expected)


def test_many_samples_are_inferred_in_parts(monkeypatch: pytest.MonkeyPatch):
    X = mirrored()
    model = shallow(dtype="float64").fit(X)
    whole = model.fill({"left": X["left"]})
    monkeypatch.setattr("bogc.models.generative.estimators._ROWS", 10)
    parts = model.fill({"left": X["left"]})
    torch.testing.assert_close(parts.hidden, whole.hidden)
    torch.testing.assert_close(parts.missing, whole.missing)
    assert torch.equal(parts.converged, whole.converged)
    assert parts.rounds == whole.rounds


@either
def test_a_seed_fixes_the_result_and_a_pickle_keeps_it(make):
    X = mirrored()
    first, second, other = (make(seed=s).fit(X).transform(X) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    torch.manual_seed(7)  # the global generator is neither read nor moved
    state = torch.get_rng_state()
    model = make(seed=1).fit(X)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), first)


def test_runs_on_a_device(device: torch.device):
    X = mirrored()
    model = shallow(device=str(device)).fit(X)
    assert model.fill({"left": X["left"]}).hidden.device.type == device.type
    assert np.isfinite(model.transform(X)).all()


def test_listens_to_every_stage():
    heard: list[FitProgress] = []
    deep(listen=heard.append).fit(mirrored())
    assert [p.stage for p in heard] == ["left 1"] * 2 + ["joint"] * 2 + ["fine-tuning"] * 2


@either
def test_refuses_to_infer_before_fit(make):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        make().transform(mirrored())


@either
@pytest.mark.parametrize(
    ("change", "error", "found"),
    [
        ({"left": None}, DataError, r"inputs must hold some of \['left', 'right'\]; found none"),
        ({"top": np.ones((2, 4))}, DataError, r"unknown \['top'\]"),
        ({"left": np.full((2, 4), np.nan)}, NonFiniteError, "must be finite"),
        ({"left": np.full((2, 4), 255)}, RangeError, r"must lie in \[0, 1\]; found 255"),
        ({"left": np.ones((2, 5))}, ShapeError, r"must be \[N, 4\]; found \[2, 5\]"),
        ({"left": [[0, 1], [1]]}, ShapeError, r"X\['left'\] must be an array \[n, width\]; found"),
        ({"left": np.array([["a"] * 4])}, DtypeError, r"X\['left'\] must hold numbers; found <U1"),
    ],
)
def test_refuses_unfit_samples(make, change: dict, error: type[BogcError], found: str):
    model = make().fit(mirrored())
    given = {"left": np.ones((2, 4))} | change
    with pytest.raises(error, match=found):
        model.impute({name: values for name, values in given.items() if values is not None})


@either
def test_a_failed_fit_leaves_the_last_one(make):
    X = mirrored()
    model = make().fit(X)
    expected = model.transform(X)
    with pytest.raises(RangeError, match=r"must lie in \[0, 1\]"):
        model.fit({name: 2 * values for name, values in X.items()})
    with pytest.raises(ConfigError, match=r"dtype must be one of \['float32', 'float64'\]; found 'float16'"):
        model.set_params(dtype="float16").fit(X)
    np.testing.assert_array_equal(model.set_params(dtype="float32").transform(X), expected)


@either
def test_refuses_a_device_that_is_not_there(make):
    with pytest.raises(DeviceError, match="device must be there; found 'abacus'"):
        make().set_params(device="abacus").fit(mirrored())
