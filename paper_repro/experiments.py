"""The experiments by name. To add one: a folder with config, run and README, and an entry here."""

import difflib
from typing import Final

from bogc.errors import ConfigError
from paper_repro.audiovisual.run import EXPERIMENT as OGM_GE_CREMA_D
from paper_repro.bogc_mml.ablation import EXPERIMENT as BOGC_ABLATION
from paper_repro.bogc_mml.claims import EXPERIMENT as BOGC_CLAIMS
from paper_repro.experiment import Experiment
from paper_repro.huang_simulation.run import EXPERIMENT as HUANG_SIMULATION
from paper_repro.mimo_subroutine.run import EXPERIMENT as MIMO_SUBROUTINE
from paper_repro.mnist_halves.run import EXPERIMENT as MNIST_HALVES
from paper_repro.mnist_halves.run import REDUCED as MNIST_HALVES_REDUCED
from paper_repro.tmc_handwritten.run import EXPERIMENT as TMC_HANDWRITTEN

EXPERIMENTS: Final[dict[str, Experiment]] = {
    "huang-simulation": HUANG_SIMULATION,
    "tmc-handwritten": TMC_HANDWRITTEN,
    "mnist-halves": MNIST_HALVES,
    "mnist-halves-reduced": MNIST_HALVES_REDUCED,
    "mimo-subroutine": MIMO_SUBROUTINE,
    "ogm-ge-crema-d": OGM_GE_CREMA_D,
    "bogc-ablation": BOGC_ABLATION,
    "bogc-claims": BOGC_CLAIMS,
}


def experiment_named(name: str) -> Experiment:
    """Look an experiment up; ConfigError if there is none of that name."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS)
        remedy = f"Did you mean {near[0]!r}?" if near else "See `python -m paper_repro list`."
        raise ConfigError("name", f"must be one of {', '.join(EXPERIMENTS)}", repr(name), remedy)
    return EXPERIMENTS[name]
