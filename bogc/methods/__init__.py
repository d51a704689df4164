"""Methods that turn losses into the gradient that the optimiser sees, behind one interface."""

# the order of these lines is that of METHODS: plain training first, bogc last
# isort: off
from bogc.methods.base import Balancer, Step
from bogc.methods.batch import EVERYWHERE, MICRO_BATCHES, PROCESSES, SHARDS, BatchView
from bogc.methods.info import StepInfo
from bogc.methods.registry import METHODS, TABLES, Job, MethodSpec, build_balancer, method, setting
from bogc.methods.sums import MIMO, FixedWeights, JointTraining, UnimodalSum
from bogc.methods.ogm_ge import OGMGE, ReleasedOGMGE
from bogc.methods.cggm import CGGM
from bogc.methods.cggm_released import ReleasedCGGM
from bogc.methods.mmpareto import MMPareto, ReleasedMMPareto
from bogc.methods.i2m2 import I2M2
from bogc.methods.inverse_variance import InverseVariance
from bogc.methods.jacobian_descent import JacobianDescent
from bogc.methods.bogc import BOGC, READINGS, CalibrationSettings

# isort: on

__all__ = [
    "BOGC",
    "CGGM",
    "EVERYWHERE",
    "I2M2",
    "METHODS",
    "MICRO_BATCHES",
    "MIMO",
    "OGMGE",
    "PROCESSES",
    "READINGS",
    "SHARDS",
    "TABLES",
    "Balancer",
    "BatchView",
    "CalibrationSettings",
    "FixedWeights",
    "InverseVariance",
    "JacobianDescent",
    "Job",
    "JointTraining",
    "MMPareto",
    "MethodSpec",
    "ReleasedCGGM",
    "ReleasedMMPareto",
    "ReleasedOGMGE",
    "Step",
    "StepInfo",
    "UnimodalSum",
    "build_balancer",
    "method",
    "setting",
]
