"""Where the clips of each data set come from, and how each released code reads them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol, Self, runtime_checkable

import numpy as np
from torch import Tensor

from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.readers import ave, crema_d, kinetics_sounds, ucf101, vggsound
from paper_repro.readers.clips import one_a_piece, one_a_third


@runtime_checkable
class Clips(Protocol):
    """Samples on disk, read when asked for."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class."""
        ...

    def __len__(self) -> int:
        """Count them."""
        ...

    def __getitem__(self, index: int, /) -> tuple[dict[str, Tensor], int]:
        """Read one for evaluation."""
        ...

    def training_item(self, index: int, random: np.random.Generator) -> tuple[dict[str, Tensor], int]:
        """Read one for training."""
        ...

    def subset(self, indices: Iterable[int]) -> Self:
        """Keep some."""
        ...


Read = Callable[[Path, str, AudioVisualConfig], Clips]
"""Folder, part and settings to the clips."""


@dataclass(frozen=True)
class Source:
    """One data set, as one code reads it.

    Attributes:
        variable: Environment variable with the path of its folder.
        channels: Modality to the channels of its input.
        read: Lists a part.
        validation: Name of its validation part; empty if it has none.
    """

    variable: str
    channels: Mapping[str, int]
    read: Read
    validation: str = ""


AUDIO_VISUAL: Final[Mapping[str, int]] = MappingProxyType({"audio": 1, "visual": 3})


def _crema_d(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    return crema_d.read_crema_d(folder, part, config.frames, config.side)


def _crema_d_pieces(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    pick = partial(one_a_piece, config.frames)
    return crema_d.read_crema_d(folder, part, config.frames, config.side, pick)


def _kinetics_sounds(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    return kinetics_sounds.read_kinetics_sounds(folder, part, config.side)


def _ave(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    return ave.read_ave(folder, part, config.frames, config.side)


def _vggsound_thirds(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    return vggsound.read_vggsound(folder, part, side=config.side, pick=one_a_third)


def _ucf101(folder: Path, part: str, config: AudioVisualConfig) -> Clips:
    return ucf101.read_ucf101(folder, part, config.side)


SOURCES: Final[Mapping[str, Source]] = MappingProxyType(
    {
        "CREMA-D": Source(crema_d.FOLDER, AUDIO_VISUAL, _crema_d),
        "CREMA-D, one frame a piece": Source(crema_d.FOLDER, AUDIO_VISUAL, _crema_d_pieces),
        "Kinetics-Sounds": Source(kinetics_sounds.FOLDER, AUDIO_VISUAL, _kinetics_sounds),
        "AVE": Source(ave.FOLDER, AUDIO_VISUAL, _ave, validation="val"),
        "VGGSound, one frame a third": Source(vggsound.FOLDER, AUDIO_VISUAL, _vggsound_thirds),
        "UCF101": Source(ucf101.FOLDER, MappingProxyType({"visual": 3, "flow": 2}), _ucf101),
    }
)
"""Name to source; a data set that two codes read otherwise is there twice."""
