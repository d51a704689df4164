"""What an experiment shows beside its table: a registry by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from paper_repro.bogc_mml import ablation_report, claims_report
from paper_repro.document import Block
from paper_repro.gradient_uncertainty.findings import PICTURE as RELIABILITY
from paper_repro.gradient_uncertainty.findings import blocks as uncertainty
from paper_repro.gradient_uncertainty.pictures import reliability
from paper_repro.mimo_subroutine.curve import PICTURE, blocks, curve
from paper_repro.results import Results


@dataclass(frozen=True)
class Supplement:
    """Text, tables and one picture, made from results.

    Attributes:
        picture: Its file, below the folder of the report.
        blocks: Results to what stands in the report, the picture included.
        draw: Results to the picture.
    """

    picture: str
    blocks: Callable[[Results], list[Block]]
    draw: Callable[[Results], Figure]


SUPPLEMENTS: Final[dict[str, Supplement]] = {
    "mimo-subroutine": Supplement(PICTURE, blocks, curve),
    "bogc-ablation": Supplement(ablation_report.PICTURE, ablation_report.blocks, ablation_report.picture),
    "bogc-claims": Supplement(claims_report.PICTURE, claims_report.blocks, claims_report.picture),
    "gradient-uncertainty": Supplement(RELIABILITY, uncertainty, reliability),
}
