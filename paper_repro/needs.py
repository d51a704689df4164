"""What stands between a row and its experiment."""

from dataclasses import dataclass, replace
from typing import Final

from paper_repro.status import Kind

NO_ADAPTER: Final = "adapter not written yet"


@dataclass(frozen=True)
class Need:
    """Why the rows of a data set have no experiment.

    Attributes:
        kind: NEEDS_DATA or NOT_AVAILABLE.
        data: What is needed.
        origin: Where it comes from.
        command: What runs then.
    """

    kind: Kind
    data: str
    origin: str
    command: str = NO_ADAPTER

    def __str__(self) -> str:
        return "; ".join(part for part in (self.data, self.origin, self.command) if part)


def _data(data: str, origin: str, command: str = NO_ADAPTER) -> Need:
    return Need(Kind.NEEDS_DATA, data, origin, command)


def _adapter(loader: str) -> str:
    """What can be done with data that have a loader, where the row itself has no experiment."""
    return f"`bogc train --dataset paper_repro.readers.{loader}` reads them, no experiment for this row"


def _reader(reader: str) -> str:
    """As above, for data that are read item by item."""
    return f"`paper_repro.readers.{reader}` reads them, no experiment for this row"


NEEDS: Final[dict[str, Need]] = {
    "CREMA-D": _data(
        "acted emotional clips, face and voice",
        "the public repository of its authors",
        _adapter("crema_d:load_crema_d"),
    ),
    "ESC50 from Kinetics-Sounds pretraining (L3-Net)": _data(
        "environmental sounds, and Kinetics-Sounds for the pretraining",
        "the repository of ESC-50's author; videos of Kinetics on YouTube, many withdrawn",
    ),
    "Kinetics-Sounds": _data(
        "videos of Kinetics classes that one can both see and hear",
        "videos on YouTube, many withdrawn",
        _reader("kinetics_sounds:read_kinetics_sounds"),
    ),
    "UCF101 (RGB, flow)": _data(
        "action videos, with optical flow", "its authors' site", _reader("ucf101:read_ucf101")
    ),
    "UPMC-Food101": _data(
        "pictures and web texts of 101 dishes", "its authors' site", _reader("food101:read_food101_tokens")
    ),
    "CMU-MOSEI": _data(
        "opinion videos with text, sound and face features",
        "its authors' SDK, packed by MultiBench; the benchmark's own features and network were not read",
        _adapter("opinions:load_cmu_mosei"),
    ),
    "CMU-MOSI": _data(
        "opinion videos with text, sound and face features",
        "its authors' SDK",
        _adapter("opinions:load_cmu_mosi"),
    ),
    "BalancedAV": _data("audio-visual clips", "not known to us: the benchmark's authors"),
    "VGGSound": _data(
        "audio-visual clips of sounding objects",
        "videos on YouTube, many withdrawn",
        _reader("vggsound:read_vggsound"),
    ),
    "IEMOCAP": _data(
        "acted dialogues, face, voice and text",
        "its authors, on signed request",
        _adapter("iemocap:load_iemocap"),
    ),
    "BraTS 2021": _data(
        "brain tumours in four kinds of MRI",
        "the organisers of the challenge, registered",
        _reader("brats:read_brats"),
    ),
    "AVE": _data("audio-visual events", "its authors' site; videos from YouTube", _reader("ave:read_ave")),
    "UR-FUNNY": _data(
        "humour in talks, text, sound and face features",
        "its authors' repository, packed by MultiBench; the paper's features and network are not known to us",
        _adapter("opinions:load_ur_funny"),
    ),
    "AV-MNIST": _data(
        "MNIST with spoken digits",
        "a shared copy: there is no official generator",
        _adapter("av_mnist:load_av_mnist"),
    ),
    "AV-MNIST (shared copy)": _data(
        "MNIST with spoken digits", "the copy that the issue shares", _adapter("av_mnist:load_av_mnist")
    ),
    "NLVR2": _data("sentences about pairs of photographs", "its authors' site; photographs from the web"),
    "MIMIC-III mortality": _data("intensive-care records", "PhysioNet, after training and agreement"),
    "MIMIC-III ICD-9 140-239": _data("intensive-care records", "PhysioNet, after training and agreement"),
    "MIR-Flickr": _data("photographs with tags, and the features that the paper used", "its authors' site"),
    "audio-visual emotion, action recognition, medical imaging": Need(
        Kind.NOT_AVAILABLE, "no number of this paper is known to us", "", ""
    ),
}
_UNKNOWN_NETWORK: Final = "no experiment: networks and settings on this data set are not released"
NO_EXPERIMENT: Final[dict[str, str]] = {
    "balancebenchmark-upmc-food101-baseline": _UNKNOWN_NETWORK,
    "balancebenchmark-upmc-food101-ogm": _UNKNOWN_NETWORK,
    "balancebenchmark-upmc-food101-mmpareto": _UNKNOWN_NETWORK,
    "cggm-upmc-food101-cggm": "no experiment: needs pretrained BERT and ViT, which bogc cannot run yet",
    "diagnosing-relearning-crema-d-users-baseline": "no experiment: the user's settings are not known",
    "lfm-crema-d-users-baseline": "no experiment: the user's settings are not known",
}
"""Row -> why it has no experiment, where its data are read."""


def need_of(row: str, dataset: str) -> Need:
    """What a row of this data set needs; KeyError if nobody said."""
    need = NEEDS[dataset]
    return replace(need, command=NO_EXPERIMENT.get(row, need.command))
