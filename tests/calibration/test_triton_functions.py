"""The kernels themselves are compared with torch in test_triton_kernel.py."""

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")


def test_every_kernel_is_compiled_by_triton():
    from bogc.calibration import triton_functions

    own = {n: f for n, f in vars(triton_functions).items() if isinstance(f, triton.runtime.JITFunction)}
    assert own, "no kernel found"
    assert all(kernel.arg_names for kernel in own.values())
