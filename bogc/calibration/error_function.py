"""The error function of the pass over all dimensions, in arithmetic alone where it is compiled.

A compiled loop computes in registers and waits for memory; a library's erf is some ten times the rest of it.
x P(x^2) / Q(x^2) has a relative error of 2e-8 on |x| <= 3.9, where erf is 1 in float32: with rounding, 4e-7.
P and Q were fitted by the smallest largest relative error (least squares with Lawson's weights).
"""

from typing import Final

import torch
from torch import Tensor

END: Final = 3.9


def erf(x: Tensor) -> Tensor:
    """Error function, in a tensor of its own or in ``x``; rational in float32 if it is being compiled."""
    if torch.compiler.is_compiling() and x.dtype == torch.float32:
        return rational_erf(x)
    return x.erf_()


def rational_erf(x: Tensor) -> Tensor:
    """Error function in float32 to 4e-7 of itself; numbers written here are constants of a compiled loop."""
    x = x.clamp(-END, END)
    s = x * x
    p = ((((2.06634491e-6 * s + 2.85029424e-4) * s + 0.0037376742) * s + 0.0526659429) * s + 0.189653684) * s
    q = ((((3.82669691e-5 * s + 0.00115718034) * s + 0.0149129425) * s + 0.113813164) * s + 0.501408987) * s
    return (x * (p + 1.12837915) / (q + 1)).clamp(-1, 1)
