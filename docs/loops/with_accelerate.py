"""BOGC in a loop of Hugging Face Accelerate: ``python -m docs.loops.with_accelerate``."""

from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from docs.loops.problem import Network, loader, losses_of, made


def train(
    epochs: int = 2,
    seed: int = 0,
    accumulate: int = 1,
    clip: float = 1.0,
    bf16: bool = False,
    folder: Path | None = None,
    resume: Path | None = None,
    **options: Any,
) -> Network:
    """Train; ``folder`` receives the state at the end, ``resume`` is such a folder to go on from."""
    accelerator = Accelerator(
        mixed_precision="bf16" if bf16 else "no", gradient_accumulation_steps=accumulate, **options
    )
    network, balancer = made(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    prepared, optimizer, batches = accelerator.prepare(network, optimizer, loader(seed))
    accelerator.register_for_checkpointing(balancer)
    if resume is not None:
        accelerator.load_state(str(resume))
    for _ in range(epochs):
        for *inputs, targets in batches:
            with accelerator.accumulate(prepared):
                losses = losses_of(prepared(inputs), targets)
                balancer.backward({source: loss / accumulate for source, loss in losses.items()})
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(network.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
        accelerator.print(f"fusion loss {losses['fusion'].mean():.3f}")
    if folder is not None:
        accelerator.save_state(str(folder))
    return network


if __name__ == "__main__":
    train()
