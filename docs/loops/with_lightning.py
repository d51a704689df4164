"""BOGC in Lightning, by manual or automatic optimisation: ``python -m docs.loops.with_lightning``."""

from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from docs.loops.problem import Network, loader, losses_of, made


class Calibrated(lightning.LightningModule):
    """A network whose gradients BOGC makes; the trainer keeps the balancer's state in its checkpoints."""

    def __init__(self, seed: int = 0, accumulate: int = 1, clip: float = 1.0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.balancer = made(seed)
        self.accumulate, self.clip = accumulate, clip

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser of all parameters."""
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def training_step(self, batch: list[Tensor], index: int) -> None:
        """``balancer.backward`` stands where ``self.manual_backward`` would, outside autocast."""
        *inputs, targets = batch
        losses = losses_of(self.network(inputs), targets)
        with torch.autocast(self.device.type, enabled=False):
            self.balancer.backward({source: loss / self.accumulate for source, loss in losses.items()})
        if (index + 1) % self.accumulate == 0 or self.trainer.is_last_batch:
            optimizer = self.optimizers()
            self.clip_gradients(optimizer, gradient_clip_val=self.clip, gradient_clip_algorithm="norm")
            optimizer.step()
            optimizer.zero_grad()
        self.log("fusion loss", losses["fusion"].mean(), prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the balancer's state beside the weights."""
        checkpoint["balancer"] = self.balancer.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore it."""
        self.balancer.load_state_dict(checkpoint["balancer"])


class Automatic(lightning.LightningModule):
    """The same by automatic optimisation: the trainer calls ``backward``, clips, accumulates and steps."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.network, self.balancer = made(seed)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser of all parameters."""
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Keep the losses for ``backward``; what is returned only tells the trainer that there is a step."""
        *inputs, targets = batch
        self.losses = losses_of(self.network(inputs), targets)
        return self.losses["fusion"].mean()

    def backward(self, loss: Tensor) -> None:
        """Stand in for ``loss.backward()``, which is not called."""
        parts = self.trainer.accumulate_grad_batches
        self.balancer.backward({source: found / parts for source, found in self.losses.items()})

    on_save_checkpoint = Calibrated.on_save_checkpoint
    on_load_checkpoint = Calibrated.on_load_checkpoint


def train(
    epochs: int = 2,
    seed: int = 0,
    accumulate: int = 1,
    clip: float = 1.0,
    bf16: bool = False,
    folder: Path | None = None,
    resume: Path | None = None,
    automatic: bool = False,
    **options: Any,
) -> Network:
    """Train; ``folder`` receives the checkpoint last.ckpt, ``resume`` is one to go on from."""
    model = Automatic(seed) if automatic else Calibrated(seed, accumulate, clip)
    if automatic:
        options |= {"accumulate_grad_batches": accumulate, "gradient_clip_val": clip}
    precision = "bf16-mixed" if bf16 else "32-true"
    trainer = lightning.Trainer(
        max_epochs=epochs, precision=precision, logger=False, enable_checkpointing=False, **options
    )
    trainer.fit(model, loader(seed), ckpt_path=resume)
    if folder is not None:
        trainer.save_checkpoint(folder / "last.ckpt")
    return model.network


if __name__ == "__main__":
    train()
