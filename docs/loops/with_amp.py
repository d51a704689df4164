"""BOGC with float16 and a gradient scaler: ``python -m docs.loops.with_amp``."""

import torch

from docs.loops.problem import Network, loader, losses_of, made


def train(
    epochs: int = 2, seed: int = 0, clip: float = 1.0, scale: float = 2.0**16, device: str = "cpu"
) -> tuple[Network, float]:
    """Train; the network, and the scale at the end."""
    network, balancer = made(seed)
    network.to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler(device, init_scale=scale)
    batches = loader(seed)
    for _ in range(epochs):
        for *inputs, targets in batches:
            with torch.autocast(device, dtype=torch.float16):
                logits = network([x.to(device) for x in inputs])
            losses = losses_of(logits, targets.to(device))
            balancer.backward(losses, scaler=scaler)  # not scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        print(f"fusion loss {losses['fusion'].mean():.3f}, scale {scaler.get_scale():g}")
    return network, scaler.get_scale()


if __name__ == "__main__":
    train()
