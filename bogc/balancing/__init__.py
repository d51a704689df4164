"""Methods that turn several losses into one gradient, behind one interface."""

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.bogc import BOGC
from bogc.balancing.cggm import CGGM
from bogc.balancing.cggm_released import ReleasedCGGM
from bogc.balancing.fixed_weights import FixedWeights
from bogc.balancing.i2m2 import I2M2
from bogc.balancing.info import StepInfo
from bogc.balancing.inverse_variance import InverseVariance
from bogc.balancing.jacobian_descent import JacobianDescent
from bogc.balancing.joint import JointTraining
from bogc.balancing.mimo import MIMO
from bogc.balancing.mmpareto import MMPareto, ReleasedMMPareto
from bogc.balancing.observation import Observation
from bogc.balancing.ogm_ge import OGMGE, ReleasedOGMGE
from bogc.balancing.unimodal_sum import UnimodalSum

__all__ = [
    "BOGC",
    "CGGM",
    "I2M2",
    "MIMO",
    "OGMGE",
    "Balancer",
    "FixedWeights",
    "InverseVariance",
    "JacobianDescent",
    "JointTraining",
    "MMPareto",
    "Observation",
    "ReleasedCGGM",
    "ReleasedMMPareto",
    "ReleasedOGMGE",
    "Step",
    "StepInfo",
    "UnimodalSum",
]
