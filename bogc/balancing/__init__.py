"""Methods that turn several losses into one gradient, behind one interface."""

from bogc.balancing.balancer import Balancer, Step
from bogc.balancing.bogc import BOGC
from bogc.balancing.info import StepInfo
from bogc.balancing.joint import JointTraining
from bogc.balancing.unimodal_sum import UnimodalSum

__all__ = ["BOGC", "Balancer", "JointTraining", "Step", "StepInfo", "UnimodalSum"]
