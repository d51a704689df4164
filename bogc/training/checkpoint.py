"""Checkpoints: the whole state of a run in one file, replaced atomically."""

import pickle
from pathlib import Path
from typing import Any

import torch

from bogc.errors import CheckpointError
from bogc.training.files import write_atomically


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state``, nested containers of tensors and plain values; a crash leaves the previous file."""
    write_atomically(path, lambda file: torch.save(state, file))


def load(path: Path, digest: str) -> dict[str, Any]:
    """Read a checkpoint of the run whose config has ``digest``; no code in the file is executed.

    Raises:
        CheckpointError: The file is missing, truncated, not a checkpoint, or of another configuration.
    """
    remedy = "Delete the run folder to start again."
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(str(path), "must be a complete checkpoint", reason, remedy) from None
    if not isinstance(state, dict) or state.get("digest") != digest:
        found = state.get("digest") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(str(path), f"must belong to configuration {digest}", found, remedy)
    return state
