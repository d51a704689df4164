"""Generative multi-modal models that fill in what is missing (Sohn, Shang and Lee 2014)."""

from bogc.models.generative.estimators import MultimodalBernoulliRBM, MultimodalDeepRNN
from bogc.models.generative.fit import FitListener, FitProgress, train
from bogc.models.generative.likelihood import PersistentCD
from bogc.models.generative.mdrnn import MDRNN
from bogc.models.generative.mean_field import Filled, fill, variational_free_energy
from bogc.models.generative.multi_prediction import MultiPrediction
from bogc.models.generative.objective import Objective
from bogc.models.generative.perceptron import PerceptronCD
from bogc.models.generative.pretraining import pretrain
from bogc.models.generative.rbm import MultimodalRBM
from bogc.models.generative.schedule import Schedule
from bogc.models.generative.sparsity import Sparsity

__all__ = [
    "MDRNN",
    "Filled",
    "FitListener",
    "FitProgress",
    "MultiPrediction",
    "MultimodalBernoulliRBM",
    "MultimodalDeepRNN",
    "MultimodalRBM",
    "Objective",
    "PerceptronCD",
    "PersistentCD",
    "Schedule",
    "Sparsity",
    "fill",
    "pretrain",
    "train",
    "variational_free_energy",
]
