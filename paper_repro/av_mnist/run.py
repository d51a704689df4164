"""The experiment: which runs there are, and which published numbers they speak about."""

import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch

from bogc.checks import check_number
from paper_repro.av_mnist.config import AvMnistConfig
from paper_repro.av_mnist.fitting import I2M2, Parts, fit
from paper_repro.experiment import Experiment, Series, Task
from paper_repro.readers.av_mnist import FOLDER, read_av_mnist, training_samples
from paper_repro.readers.files import folder_named_by


def tasks(config: AvMnistConfig) -> Mapping[str, Task]:
    """Name every run; each trains all experts and their product."""
    return {f"seed {seed}": partial(run, config, seed) for seed in range(config.seeds)}


def run(config: AvMnistConfig, seed: int) -> dict[str, float]:
    """Train all stages, and report the test accuracy of each."""
    return fit(parts(folder_named_by(FOLDER), config), config, seed)


def parts(folder: Path, config: AvMnistConfig) -> Parts:
    """Part as the released code does: the first samples train, the rest of the training part validates.

    Raises:
        RangeError: Nothing would be left to validate on.
        DataError: The folder is not as ``paper_repro.readers.av_mnist`` describes it.
    """
    data, training = read_av_mnist(folder), training_samples(folder)
    valid = 2 <= config.train <= training - 2
    check_number("train", config.train, valid, f"must lie in 2 .. {training - 2}", "Leave some to validate.")
    cuts = (0, config.train, training, len(data))
    ranges = [torch.arange(start, stop) for start, stop in itertools.pairwise(cuts)]
    return Parts(*(data.subset(indices) for indices in ranges))


EXPERIMENT = Experiment(
    name="i2m2-av-mnist",
    folder="av_mnist",
    title="I2M2 on AV-MNIST, digits seen and heard",
    paper="Madaan et al. 2024, arXiv 2405.17613",
    unit="accuracy, percent",
    full=AvMnistConfig(),
    quick=AvMnistConfig(train=12, epochs=1, batch_size=6, unimodal_channels=1, joint_channels=1, seeds=1),
    tasks=tasks,
    hours="5 runs of 4 stages of up to 30 epochs, on data that must be got first; not timed yet",
    series=(
        Series(I2M2, "product of the three experts, tuned together", row="i2m2-av-mnist-i2m2"),
        Series("joint", "expert on both modalities, by itself"),
        Series("image", "expert on the picture, by itself", row="i2m2-av-mnist-shared-copy-image-only"),
        Series("audio", "expert on the sound, by itself", row="i2m2-av-mnist-shared-copy-audio-only"),
    ),
)
