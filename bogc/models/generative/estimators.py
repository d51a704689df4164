"""scikit-learn estimators: features of, and fillings for, samples with missing modalities."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from bogc.checks import check_type
from bogc.errors import ConfigError, DeviceError, DtypeError, ShapeError
from bogc.models.generative.mdrnn import MDRNN, Filled, fill
from bogc.models.generative.objectives import MultiPrediction, Objective, PersistentCD
from bogc.models.generative.rbm import MultimodalRBM, check_complete, check_inputs, widths_of
from bogc.models.generative.training import PUBLISHED, FitListener, Schedule, ignore, pretrain, train

_ROWS = 4096  # samples inferred at once, which bounds memory
_DTYPES = {"float32": torch.float32, "float64": torch.float64}
LIKELIHOOD = PersistentCD()
PREDICTION = MultiPrediction()

Samples = Mapping[str, ArrayLike | Tensor]


class _GenerativeEstimator(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What both estimators do once ``model_`` is there."""

    model_: MDRNN
    objectives_: tuple[float, ...]
    fill_rounds: int
    tolerance: float
    dtype: str
    device: str

    def fill(self, X: Samples) -> Filled:
        """Infer the hidden units of samples, and every modality that ``X`` lacks.

        Args:
            X: Some of the modalities seen by ``fit`` -> [n, width], in [0, 1].

        Returns:
            Tensors on the estimator's device, with what says whether each sample converged.

        Raises:
            NotFittedError: ``fit`` was not called.
            BogcError: ``X`` is not as asked for.
        """
        check_is_fitted(self, "model_")
        inputs = _as_tensors(X, self.dtype, self.device)
        check_inputs(inputs, self.model_.widths)
        rows = len(next(iter(inputs.values())))
        parts = [
            fill(
                self.model_,
                {name: values[first : first + _ROWS] for name, values in inputs.items()},
                self.tolerance,
                self.fill_rounds,
            )
            for first in range(0, rows, _ROWS)
        ]
        return Filled(
            torch.cat([part.hidden for part in parts]),
            {name: torch.cat([part.missing[name] for part in parts]) for name in parts[0].missing},
            torch.cat([part.converged for part in parts]),
            max(part.rounds for part in parts),
        )

    def transform(self, X: Samples) -> NDArray[Any]:
        """Features [n, hidden]: means of the joint hidden units, missing modalities filled first."""
        features: NDArray[Any] = self.fill(X).hidden.cpu().numpy()
        return features

    def impute(self, X: Samples) -> dict[str, NDArray[Any]]:
        """Means [n, width] of every modality that ``X`` lacks; empty if it lacks none."""
        return {name: values.cpu().numpy() for name, values in self.fill(X).missing.items()}

    def _training_data(self, X: Samples) -> dict[str, Tensor]:
        data = _as_tensors(X, self.dtype, self.device)
        check_complete(data, widths_of(data))
        return data


class MultimodalBernoulliRBM(_GenerativeEstimator):
    """Multi-modal RBM with binary units, trained as ``objective`` says.

    The defaults are those published for the halves of MNIST digits (Sohn, Shang and Lee 2014). ``X`` is a
    dict, so scikit-learn's splitters and pipelines that index rows do not apply.

    Args:
        hidden: Number of hidden units.
        objective: PersistentCD, PerceptronCD or MultiPrediction.
        schedule: Epochs, batches, learning rate, momentum and weight decay.
        fill_rounds: Most mean-field rounds when a modality is missing.
        tolerance: Mean change of a sample's hidden units at which it counts as converged.
        seed: Of weights, batches and sampling; fixes the result on one device.
        device: Such as "cpu" or "cuda".
        dtype: "float32" or "float64".
        listen: Called with a FitProgress after every epoch.

    Attributes:
        model_: The network, an MDRNN without paths; ``model_.joint`` is the RBM.
        objectives_: Mean objective of every epoch.
    """

    def __init__(
        self,
        hidden: int = 1000,
        objective: Objective = LIKELIHOOD,
        schedule: Schedule = PUBLISHED,
        fill_rounds: int = 10,
        tolerance: float = 1e-5,
        seed: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        listen: FitListener = ignore,
    ) -> None:
        self.hidden = hidden
        self.objective = objective
        self.schedule = schedule
        self.fill_rounds = fill_rounds
        self.tolerance = tolerance
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.listen = listen

    def fit(self, X: Samples, y: object = None) -> "MultimodalBernoulliRBM":
        """Train from scratch on every modality, [n, width] in [0, 1]; ``y`` is not used.

        Raises:
            BogcError: The data or a setting are unfit, or training diverged; an earlier fit stays as it was.
        """
        data = self._training_data(X)
        generator = torch.Generator(self.device).manual_seed(self.seed)
        network = MDRNN(MultimodalRBM.for_data(data, self.hidden, generator))
        objectives = train(network, data, self.objective, self.schedule, generator, self.listen)
        self.model_, self.objectives_ = network, objectives
        return self


class MultimodalDeepRNN(_GenerativeEstimator):
    """Deep paths below a joint layer: greedy pre-training, then multi-prediction through the whole network.

    Args:
        layers: Modality -> hidden widths of its path from the bottom; None for no paths at all.
        hidden: Number of joint hidden units.
        objective: Fine-tunes the whole network.
        path_objective: Pre-trains each layer of a path.
        joint_objective: Pre-trains the joint layer.
        pretraining: Schedule of every pre-trained layer.
        schedule: Schedule of the fine-tuning.
        fill_rounds: Most mean-field rounds when a modality is missing.
        tolerance: Mean change of a sample's hidden units at which it counts as converged.
        seed: Of weights, batches and sampling; fixes the result on one device.
        device: Such as "cpu" or "cuda".
        dtype: "float32" or "float64".
        listen: Called with a FitProgress after every epoch; its stage names the layer or "fine-tuning".

    Attributes:
        model_: The network.
        objectives_: Mean objective of every epoch of the fine-tuning.
    """

    def __init__(
        self,
        layers: Mapping[str, Sequence[int]] | None = None,
        hidden: int = 1000,
        objective: MultiPrediction = PREDICTION,
        path_objective: Objective = LIKELIHOOD,
        joint_objective: Objective = LIKELIHOOD,
        pretraining: Schedule = PUBLISHED,
        schedule: Schedule = PUBLISHED,
        fill_rounds: int = 10,
        tolerance: float = 1e-5,
        seed: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        listen: FitListener = ignore,
    ) -> None:
        self.layers = layers
        self.hidden = hidden
        self.objective = objective
        self.path_objective = path_objective
        self.joint_objective = joint_objective
        self.pretraining = pretraining
        self.schedule = schedule
        self.fill_rounds = fill_rounds
        self.tolerance = tolerance
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.listen = listen

    def fit(self, X: Samples, y: object = None) -> "MultimodalDeepRNN":
        """Train from scratch on every modality, [n, width] in [0, 1]; ``y`` is not used.

        Raises:
            BogcError: The data or a setting are unfit, or training diverged; an earlier fit stays as it was.
        """
        data = self._training_data(X)
        generator = torch.Generator(self.device).manual_seed(self.seed)
        network = pretrain(
            data,
            self.layers or {},
            self.hidden,
            self.path_objective,
            self.joint_objective,
            self.pretraining,
            generator,
            self.listen,
        )
        objectives = train(
            network, data, self.objective, self.schedule, generator, self.listen, "fine-tuning"
        )
        self.model_, self.objectives_ = network, objectives
        return self


def _as_tensors(X: Samples, dtype: str, device: str) -> dict[str, Tensor]:
    """Copy numbers and booleans to tensors of one dtype on one device."""
    check_type("X", X, Mapping, "Pass a dict from modality to an array [n, width].")
    if dtype not in _DTYPES:
        raise ConfigError("dtype", f"must be one of {list(_DTYPES)}", repr(dtype), "Choose one of them.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):  # torch without CUDA fails an assertion
        raise DeviceError("device", "must be there", repr(device), "Use 'cpu'.") from None
    return {name: _as_tensor(name, values).to(device, _DTYPES[dtype]) for name, values in X.items()}


def _as_tensor(name: str, values: ArrayLike | Tensor) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach()
    try:
        array = np.array(values, order="C")  # a copy, as the original may be read-only or run backwards
    except ValueError as error:
        raise ShapeError(
            f"X[{name!r}]", "must be an array [n, width]", error, "Give rows of one length."
        ) from None
    if array.dtype.kind not in "fiub":
        raise DtypeError(f"X[{name!r}]", "must hold numbers", array.dtype, "Convert it to float.")
    return torch.from_numpy(array)
