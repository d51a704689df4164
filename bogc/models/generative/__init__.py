"""Generative multi-modal models that fill in what is missing (Sohn, Shang and Lee 2014)."""

from bogc.models.generative.estimators import MultimodalBernoulliRBM, MultimodalDeepRNN
from bogc.models.generative.mdrnn import MDRNN, Filled, fill, variational_free_energy
from bogc.models.generative.objectives import MultiPrediction, Objective, PerceptronCD, PersistentCD, Sparsity
from bogc.models.generative.rbm import MultimodalRBM
from bogc.models.generative.training import FitListener, FitProgress, Schedule, pretrain, train

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
