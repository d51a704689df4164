"""The experiments by name. To add one: a folder with config, run and README, and an entry here."""

import difflib
from typing import Final

from bogc.errors import ConfigError
from paper_repro.affect.run import IEMOCAP as CGGM_IEMOCAP
from paper_repro.affect.run import MOSI as CGGM_MOSI
from paper_repro.audiovisual.checkpoint import CHECKPOINTS
from paper_repro.audiovisual.run import AUDIO_VISUAL
from paper_repro.av_mnist.run import EXPERIMENT as I2M2_AV_MNIST
from paper_repro.bogc_mml.ablation import EXPERIMENT as BOGC_ABLATION
from paper_repro.bogc_mml.claims import EXPERIMENT as BOGC_CLAIMS
from paper_repro.brats.run import EXPERIMENT as CGGM_BRATS
from paper_repro.experiment import Experiment
from paper_repro.gradient_uncertainty.run import EXPERIMENT as GRADIENT_UNCERTAINTY
from paper_repro.huang_iemocap.run import EXPERIMENT as HUANG_IEMOCAP
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
    "gradient-uncertainty": GRADIENT_UNCERTAINTY,
    "bogc-ablation": BOGC_ABLATION,
    "bogc-claims": BOGC_CLAIMS,
    **AUDIO_VISUAL,
    "ogm-ge-checkpoints": CHECKPOINTS,
    "cggm-mosi": CGGM_MOSI,
    "cggm-iemocap": CGGM_IEMOCAP,
    "cggm-brats": CGGM_BRATS,
    "i2m2-av-mnist": I2M2_AV_MNIST,
    "huang-iemocap": HUANG_IEMOCAP,
}


def experiment_named(name: str) -> Experiment:
    """Look an experiment up; ConfigError if there is none of that name."""
    if name not in EXPERIMENTS:
        near = difflib.get_close_matches(name, EXPERIMENTS)
        remedy = f"Did you mean {near[0]!r}?" if near else "See `python -m paper_repro list`."
        raise ConfigError("name", f"must be one of {', '.join(EXPERIMENTS)}", repr(name), remedy)
    return EXPERIMENTS[name]
