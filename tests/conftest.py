"""Strict surroundings for every test: float64, deterministic algorithms, a fixed seed, no leftover state."""

import os
from collections.abc import Iterator

import pyro
import pytest
import torch
from hypothesis import seed, settings
from threadpoolctl import threadpool_limits

settings.register_profile("bogc", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("bogc")
SEEDS = (0, 1, 2)  # of each property of belief and combination, which share its examples; any others will do
SLOWEST = (
    "test_notebooks",
    "test_distributed_doc",
    "test_loop",
    "test_conformance",
    "test_examples",
    "test_cli",
    "test_one_chain",
    "test_program",
    "test_metrics",
    "test_spread",
)
# one thread, for small arrays and several workers on few cores: of libraries here, and of those still to come
torch.set_num_threads(1)
threadpool_limits(1)
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(autouse=True)
def strict() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms would import the compiler
    pyro.clear_param_store()
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_default_dtype(torch.float32)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Draw the examples of properties in tests/belief and tests/combination from several seeds."""
    if metafunc.definition.path.parent.name in ("belief", "combination") and hasattr(
        metafunc.function, "hypothesis"
    ):
        if not hasattr(metafunc.function, "_hypothesis_internal_settings_applied"):  # none of its own
            settings(max_examples=settings.default.max_examples // len(SEEDS))(metafunc.function)
        metafunc.parametrize("seeded", SEEDS, indirect=True)


@pytest.fixture(autouse=True)
def seeded(request: pytest.FixtureRequest) -> None:
    """Start a property from the seed that it is to have, if any; then it is not that of its name."""
    if hasattr(request, "param"):
        seed(request.param)(request.function)


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left with one at the end."""
    items.sort(key=lambda item: SLOWEST.index(item.path.stem) if item.path.stem in SLOWEST else len(SLOWEST))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store-notebooks", action="store_true", help="write executed notebooks back")
