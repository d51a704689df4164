"""The chain of objects, block by block: any pipeline, and what the fused pass is tested against."""

from dataclasses import dataclass

from bogc.calibration.calibrator import (
    UPDATE,
    Calibration,
    Calibrator,
    Means,
    Moments,
    States,
    gradient_parts,
    plain_sum,
)
from bogc.calibration.pipeline import Pipeline, calibrate_block
from bogc.calibration.scaling import Scaling


@dataclass(frozen=True)
class Blockwise(Calibrator):
    """Runs calibrate_block on each block.

    Attributes:
        pipeline: The choices between moments and update.
        scaling: The length of the updates.
    """

    pipeline: Pipeline
    scaling: Scaling

    def __call__(self, means: Means, moments: Moments, states: States) -> Calibration:
        """See the base class."""
        following = dict(states)
        blocks = {}
        for name, sources in moments.items():
            blocks[name], following[name] = calibrate_block(sources, states.get(name, {}), self.pipeline)
        plain = {name: plain_sum(sources) for name, sources in means.items()}
        calibrated = {name: block.update.direction for name, block in blocks.items()}
        updates = self.scaling({**plain, **calibrated}, plain)
        finite = {**gradient_parts(means), UPDATE: list(updates.values())}
        return Calibration(updates, blocks, following, finite)
