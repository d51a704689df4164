"""The experiments as a table: which data, which settings, and which ledger row each method answers."""

from dataclasses import dataclass, replace
from typing import Final

from paper_repro.audiovisual.config import AudioVisualConfig
from paper_repro.audiovisual.methods import CGGM, JOINT, MIMO, MMPARETO, OGM_GE
from paper_repro.audiovisual.sources import SOURCES, Source


@dataclass(frozen=True)
class Arm:
    """One method of an experiment.

    Attributes:
        method: Key of ``METHODS``.
        fusion: "concat" or "sum".
        row: The ledger row that its released protocol answers; empty: none, it is there to compare with.
        validated: Whether it is run by the validated protocol too.
    """

    method: str
    fusion: str = "concat"
    row: str = ""
    validated: bool = True


@dataclass(frozen=True)
class Study:
    """One experiment.

    Attributes:
        name: What the command line calls it.
        folder: Its folder in this package.
        title: One line.
        paper: Whose numbers it is about.
        source: Key of ``SOURCES``.
        config: Settings that are reported.
        arms: The methods.
    """

    name: str
    folder: str
    title: str
    paper: str
    source: str
    config: AudioVisualConfig
    arms: tuple[Arm, ...]

    @property
    def data(self) -> Source:
        """Where the clips come from."""
        return SOURCES[self.source]

    @property
    def quick(self) -> AudioVisualConfig:
        """Seconds on a handful of made clips."""
        return replace(self.config, epochs=1, batch_size=8, seeds=1, held_out=0.5, side=32)


OGM_GE_RELEASED: Final = AudioVisualConfig()
BALANCE: Final = AudioVisualConfig(
    epochs=30,
    batch_size=32,
    optimiser="adamw",
    weight_decay=0.01,
    decay_epochs=10,
    start="torch",
    alpha=0.3,
    first_modulated=10,
    modulated_epochs=71,
    frames=3,
)
CGGM_RELEASED: Final = AudioVisualConfig(
    epochs=30, optimiser="adam", weight_decay=0.0, decay_epochs=30, frames=3
)
"""Settings of CGGM's released code on CMU-MOSI, but for its network."""


def _balance(data: str, source: str, title: str, config: AudioVisualConfig) -> Study:
    """The three methods of BalanceBenchmark that the ledger has on every data set."""
    rows = {JOINT: "baseline", OGM_GE: "ogm", MMPARETO: "mmpareto"}
    short = data.removesuffix("-rgb-flow")
    return Study(
        name=f"balancebenchmark-{short}",
        folder=f"audiovisual/balancebenchmark_{short.replace('-', '_')}",
        title=f"Joint training, OGM-GE and MMPareto on {title}",
        paper="Xu et al. 2025, BalanceBenchmark, arXiv 2502.10816",
        source=source,
        config=config,
        arms=tuple(Arm(method, row=f"balancebenchmark-{data}-{row}") for method, row in rows.items()),
    )


def _mimo(data: str, source: str, title: str, config: AudioVisualConfig) -> Study:
    """MIMO, with settings of others: its own are not known."""
    return Study(
        name=f"mimo-{data}",
        folder=f"audiovisual/mimo_{data.replace('-', '_')}",
        title=f"MIMO on {title}",
        paper="Fernando et al. 2025, arXiv 2511.06686",
        source=source,
        config=config,
        arms=(Arm(JOINT), Arm(MIMO, row=f"mimo-{data}-mimo")),
    )


STUDIES: Final = (
    Study(
        name="ogm-ge-crema-d",
        folder="audiovisual",
        title="OGM-GE on CREMA-D, voice and face",
        paper="Peng et al. 2022, arXiv 2203.15332",
        source="CREMA-D",
        config=OGM_GE_RELEASED,
        arms=(
            Arm(JOINT, row="ogm-ge-crema-d-concat-baseline"),
            Arm(OGM_GE, row="ogm-ge-crema-d-concat-ogm-ge"),
            Arm(OGM_GE, "sum", "ogm-ge-crema-d-sum-ogm-ge", validated=False),
        ),
    ),
    _balance("crema-d", "CREMA-D, one frame a piece", "CREMA-D, voice and face", replace(BALANCE, frames=2)),
    _balance("kinetics-sounds", "Kinetics-Sounds", "Kinetics-Sounds, sound and frames", BALANCE),
    _balance("vggsound", "VGGSound, one frame a third", "VGGSound, sound and frames", BALANCE),
    _balance(
        "ucf101-rgb-flow",
        "UCF101",
        "UCF101, colour and optical flow",
        replace(BALANCE, pretrained="resnet18.pth"),
    ),
    Study(
        name="cggm-kinetics-sounds",
        folder="audiovisual/cggm_kinetics_sounds",
        title="CGGM on Kinetics-Sounds, sound and frames",
        paper="Guo et al. 2024, arXiv 2411.01409, as re-run by others",
        source="Kinetics-Sounds",
        config=CGGM_RELEASED,
        arms=(
            Arm(JOINT, row="cggm-kinetics-sounds-plain-joint-third-party-rerun"),
            Arm(CGGM, row="cggm-kinetics-sounds-cggm-third-party-rerun"),
        ),
    ),
    _mimo("crema-d", "CREMA-D", "CREMA-D, voice and face", OGM_GE_RELEASED),
    _mimo(
        "kinetics-sounds",
        "Kinetics-Sounds",
        "Kinetics-Sounds, sound and frames",
        replace(OGM_GE_RELEASED, frames=3),
    ),
    _mimo("ave", "AVE", "AVE, sound and frames", replace(OGM_GE_RELEASED, frames=4)),
)
