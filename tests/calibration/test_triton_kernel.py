import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bogc.calibration import MatchEachBlock, Pipeline, TritonKernel, calibrator, triton_kernel
from bogc.calibration.layout import Layout
from bogc.calibration.triton_kernel import tile_rows
from bogc.errors import DeviceError, RangeError, UnsuitableError
from tests.calibration.moments import blocks, means_of

ROOT = Path(__file__).parents[2]
SIZES = st.lists(st.sampled_from([1, 127, 128, 129, 4096, 4097, 9000]), min_size=1, max_size=5).map(tuple)
BOUNDS = {"torch.float64": 1e-12, "torch.float32": 1e-5, "torch.bfloat16": 1e-5}
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@given(sizes=SIZES, chunk=st.sampled_from([128, 1024, 2**16]), tile=st.sampled_from([128, 512]))
def test_tiles_hold_every_element_once_and_no_padding(sizes, chunk, tile):
    where = Layout(sizes, chunk)
    numbered = list(torch.arange(1.0, sum(sizes) + 1).split(sizes))
    pieces = [piece.reshape(-1) for piece in where.pieces(numbered)]
    out = torch.zeros(where.length)
    for piece, start, count, block, to in tile_rows(where, tile):
        values = pieces[piece][start : start + count]
        assert len(values) == count <= tile
        assert bool(torch.isin(values, numbered[block]).all())
        assert not out[to : to + count].any()
        out[to : to + count] = values
    for found, block in zip(where.blocks(out), numbered, strict=True):
        assert torch.equal(found, block)


def test_without_triton_it_is_refused_when_made(monkeypatch):
    monkeypatch.setattr(triton_kernel, "find_spec", lambda name: None)
    with pytest.raises(
        UnsuitableError, match=r"kernel needs the package triton; found none. Install it with"
    ):
        TritonKernel()


@pytest.mark.parametrize("tile", [0, 64, 1000])
def test_a_tile_is_a_power_of_two(tile):
    with pytest.raises(RangeError, match="tile must be a power of two, at least 128"):
        TritonKernel(tile)


@needs_triton
def test_tensors_on_the_cpu_are_refused(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    moments = blocks(1, 2, (5,))
    fast = calibrator(Pipeline(), MatchEachBlock(), TritonKernel())
    with pytest.raises(
        DeviceError, match=r"triton needs tensors on a CUDA device; found cpu. Move the model"
    ):
        fast(means_of(moments), moments, {})


def assert_equals_eager(device: str, **environment: str) -> None:
    """In an interpreter without the import hook of the tests, which Triton cannot read through."""
    command = [sys.executable, "-m", "tests.calibration.triton_beside_eager", device]
    surroundings = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"} | environment
    done = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout)
    assert errors
    for name, error in errors.items():
        assert error < BOUNDS[name.split(":")[0]], name


@needs_triton
@pytest.mark.slow
def test_it_equals_eager_in_the_interpreter():
    assert_equals_eager("cpu", TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_it_equals_eager_on_a_gpu_and_never_waits_for_it():
    assert_equals_eager("cuda")
