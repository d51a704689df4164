"""Training, evaluation and comparison of methods."""

from bogc.training.config import TrainConfig
from bogc.training.cost import keep_freed_memory
from bogc.training.loop import train
from bogc.training.metrics import Evaluation, Scores, evaluate
from bogc.training.state import per_sample_losses, train_step

__all__ = [
    "Evaluation",
    "Scores",
    "TrainConfig",
    "evaluate",
    "keep_freed_memory",
    "per_sample_losses",
    "train",
    "train_step",
]
