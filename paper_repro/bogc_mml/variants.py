"""The choices that are compared, around one stated base; none of it follows the package's defaults."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType
from typing import Any, Final

from bogc.methods import CalibrationSettings

BASE: Final = CalibrationSettings(
    estimator="successive",
    decay=0.95,
    prior="successive",
    prior_decay=0.95,
    posterior="normal",
    evidence="pseudo-count",
    prior_weight=2.0,
    frame="sign",
    combination="dempster",
    weights="relative-belief",
    conservatism="fused-certainty",
    aggregated="batch-mean",
    scaling="match-each-block",
)
BASE_NAME: Final = "base"
FILTERED: Final = {"posterior": "filtered", "prior": "stationary", "aggregated": "posterior-mean"}

SINGLE: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        BASE_NAME: {},
        "moments: decay 0.9": {"decay": 0.9},
        "moments: decay 0.99": {"decay": 0.99},
        "moments: 4 groups": {"estimator": "grouped", "groups": 4},
        "prior scale: decay 0.8": {"prior_decay": 0.8},
        "prior scale: decay 0.99": {"prior_decay": 0.99},
        "prior scale: a layer": {"prior": "block", "prior_decay": 0.9},
        "prior scale: a layer, moments: 4 groups": {
            "prior": "block",
            "prior_decay": 0.9,
            "estimator": "grouped",
            "groups": 4,
        },
        "posterior: filtered": FILTERED,
        "posterior: Normal-inverse-gamma": {"posterior": "normal-inverse-gamma"},
        "evidence: relative precision": {"evidence": "relative-precision"},
        "evidence: log precision": {"evidence": "log-precision"},
        "evidence: signal to noise": {"evidence": "signal-to-noise"},
        "evidence: identity": {"evidence": "identity"},
        "frame: reliability": {"frame": "reliability"},
        "frame: dimensions": {"frame": "dimensions"},
        "frame: reliability, 4 groups": {"frame": "reliability", "estimator": "grouped", "groups": 4},
        "frame: reliability, moments: decay 0.99": {"frame": "reliability", "decay": 0.99},
        "combination: cautious": {"combination": "cautious"},
        "combination: cumulative": {"combination": "cumulative"},
        "combination: cumulative, frame: reliability": {"combination": "cumulative", "frame": "reliability"},
        "weights: equal": {"weights": "equal"},
        "weights: precision": {"weights": "precision"},
        "conservatism: fused agreement": {"conservatism": "fused-agreement"},
        "conservatism: none": {"conservatism": "none"},
        "aggregated: posterior mean": {"aggregated": "posterior-mean"},
        "aggregated: posterior mean, conservatism: none": {
            "aggregated": "posterior-mean",
            "conservatism": "none",
        },
        "aggregated: posterior mean, weights: equal, conservatism: none": {
            "aggregated": "posterior-mean",
            "weights": "equal",
            "conservatism": "none",
        },
        "length: one factor for all layers": {"scaling": "match-plain-sum"},
        "length: unscaled": {"scaling": "unscaled"},
    }
)
"""Name to what differs from the base."""

POSTERIORS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "conjugate": {},
        "filtered": FILTERED,
    }
)
EVIDENCE: Final = ("pseudo-count", "relative-precision", "log-precision", "signal-to-noise", "identity")
FRAMES: Final = ("sign", "reliability", "dimensions")
WEIGHTS: Final = ("relative-belief", "equal", "precision")
FACTORS: Final = {"posterior": tuple(POSTERIORS), "evidence": EVIDENCE, "frame": FRAMES, "weights": WEIGHTS}
"""Factors of the full design and their levels."""

Combination = tuple[str, str, str, str]


def single(name: str) -> CalibrationSettings:
    """Settings of a variant of ``SINGLE``."""
    return replace(BASE, **SINGLE[name])


def combinations() -> tuple[Combination, ...]:
    """All combinations of the factors' levels, 90."""
    return tuple(product(*FACTORS.values()))  # type: ignore[arg-type]


def combined(levels: Combination) -> CalibrationSettings:
    """Settings of a combination."""
    posterior, evidence, frame, weights = levels
    return replace(BASE, **POSTERIORS[posterior], evidence=evidence, frame=frame, weights=weights)


def name_of(levels: Combination) -> str:
    """Name of a combination in results."""
    return " / ".join(levels)
