"""BOGC in a loop of one's own: ``python -m docs.loops.plain``."""

import torch

from docs.loops.problem import Network, loader, losses_of, made


def train(
    epochs: int = 2, seed: int = 0, accumulate: int = 1, clip: float = 1.0, bf16: bool = False
) -> Network:
    """Train; a step of the optimiser every ``accumulate`` batches."""
    network, balancer = made(seed)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    batches = loader(seed)
    for _ in range(epochs):
        for index, (*inputs, targets) in enumerate(batches):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                logits = network(inputs)
            losses = losses_of(logits, targets)
            balancer.backward({source: loss / accumulate for source, loss in losses.items()})
            if (index + 1) % accumulate == 0 or index + 1 == len(batches):
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
        print(f"fusion loss {losses['fusion'].mean():.3f}")
    return network


if __name__ == "__main__":
    train()
