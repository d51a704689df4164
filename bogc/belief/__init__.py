"""Evidence, Dirichlet, opinion and mass function: four types with explicit maps between them."""

from bogc.belief.dirichlet import DirichletBelief
from bogc.belief.evidence import MOST_EVIDENCE, Evidence
from bogc.belief.evidence_maps import (
    EVIDENCE_MAPS,
    EvidenceMap,
    Identity,
    LogPrecision,
    Power,
    PseudoCount,
    RelativePrecision,
    SignalToNoise,
)
from bogc.belief.frames import (
    FRAMES,
    DimensionsFrame,
    Frame,
    ReliabilityFrame,
    SignFrame,
    UnitDimensionsFrame,
)
from bogc.belief.mass import MassFunction
from bogc.belief.opinion import Opinion

__all__ = [
    "EVIDENCE_MAPS",
    "FRAMES",
    "MOST_EVIDENCE",
    "DimensionsFrame",
    "DirichletBelief",
    "Evidence",
    "EvidenceMap",
    "Frame",
    "Identity",
    "LogPrecision",
    "MassFunction",
    "Opinion",
    "Power",
    "PseudoCount",
    "RelativePrecision",
    "ReliabilityFrame",
    "SignFrame",
    "SignalToNoise",
    "UnitDimensionsFrame",
]
