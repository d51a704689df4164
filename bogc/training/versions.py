"""What a result was made with."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version

import torch


def versions() -> dict[str, str]:
    """Date, Python, packages and processor."""
    packages = {name: version(name) for name in ("bogc", "torch", "pyro-ppl", "numpy", "scipy")}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    date = datetime.now(UTC).date().isoformat()
    return {
        "date": date,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "gpu": gpu,
        **packages,
    }
