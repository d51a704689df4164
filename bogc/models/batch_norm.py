"""BatchNorm over the whole batch where processes hold parts of it, on any device."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm

from bogc.distributed import ProcessGroup


class SumOverProcesses(Function):
    """Sum over processes; so is the gradient, as each process' loss depends on the sum through all others."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, team: ProcessGroup) -> Tensor:
        """Sum ``value``, of one shape everywhere."""
        ctx.team = team
        (total,) = team.sum([value])
        return total.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        """Sum the gradient; every process has to go back through here as often as the others."""
        (total,) = ctx.team.sum([gradients[0].contiguous()])  # type: ignore[attr-defined]
        return total.clone(), None


def _summed(value: Tensor, team: ProcessGroup) -> Tensor:
    total: Tensor = SumOverProcesses.apply(value, team)  # type: ignore[no-untyped-call]
    return total


class TeamBatchNorm(_BatchNorm):
    """A BatchNorm whose mean and variance, in training, are those of the samples of all processes.

    torch's SyncBatchNorm does the same on GPUs only, and faster. Parameters and buffers are those of
    ``norm``, under the same names. Evaluation is BatchNorm's own and needs no other process.

    Args:
        norm: A BatchNorm that keeps running statistics.
        team: The processes.
    """

    def __init__(self, norm: _BatchNorm, team: ProcessGroup) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine)
        for name, parameter in norm.named_parameters():
            setattr(self, name, parameter)
        for name, buffer in norm.named_buffers():
            setattr(self, name, buffer)
        self.training = norm.training
        self.team = team

    def _check_input_dim(self, input: Tensor) -> None:
        """Take any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, channels, ...] -> the same, N the samples of this process, at least one."""
        if not self.training:
            evaluated: Tensor = super().forward(input)
            return evaluated
        others = [axis for axis in range(input.dim()) if axis != 1]
        shape = [1, -1] + [1] * (input.dim() - 2)
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        own = input.numel() / input.shape[1]
        sums = torch.cat([wide.sum(others), wide.new_full((1,), own)])
        total = _summed(sums, self.team)
        count = total[-1].detach()
        mean = total[:-1] / count
        centred = wide - mean.view(shape)
        variance = _summed(centred.square().sum(others), self.team) / count
        self._track(mean.detach(), variance.detach() * (count / (count - 1)))
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        moved = scaled * self.weight.view(shape) + self.bias.view(shape) if self.affine else scaled
        return moved.to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, unbiased: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)


def over_team(network: nn.Module, team: ProcessGroup) -> nn.Module:
    """Replace every BatchNorm of ``network``, in place, by one over ``team``; return the network.

    Parameters stay the same objects. Nothing is replaced if the team is one process.
    """
    if team.size == 1:
        return network
    for name, child in network.named_children():
        if isinstance(child, _BatchNorm) and not isinstance(child, nn.SyncBatchNorm):
            setattr(network, name, TeamBatchNorm(child, team))
        else:
            over_team(child, team)
    return network
