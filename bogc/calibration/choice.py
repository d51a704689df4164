"""Which calibrator serves a pipeline, decided once when it is made."""

from typing import Final

from bogc.calibration.blockwise import Blockwise
from bogc.calibration.calibrator import Calibrator
from bogc.calibration.closed_form import closed_form
from bogc.calibration.compiled import Compiled
from bogc.calibration.fused import Fused
from bogc.calibration.kernels import Eager, Kernel
from bogc.calibration.pipeline import Pipeline
from bogc.calibration.scaling import Scaling
from bogc.calibration.triton_kernel import TritonKernel
from bogc.errors import ConfigError

KERNELS: Final[dict[str, type[Kernel]]] = {"eager": Eager, "compiled": Compiled, "triton": TritonKernel}


def calibrator(pipeline: Pipeline, scaling: Scaling, kernel: Kernel | None = None) -> Calibrator:
    """Fused pass for a pipeline with a closed form, by ``kernel`` or Eager; else block by block, eagerly.

    Raises:
        ConfigError: Another kernel is given for a pipeline without a closed form.
    """
    form = closed_form(pipeline)
    if form is not None:
        return Fused(pipeline, form, scaling, kernel or Eager())
    if not isinstance(kernel, Eager | None):
        rule = "needs a closed form: block or fixed prior, Normal route, pseudo-count, sign or reliability"
        raise ConfigError("kernel", rule, pipeline, "Leave the kernel out, or change the pipeline.")
    return Blockwise(pipeline, scaling)
