"""The losses of one batch, evaluated again with other parameters in some layers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bogc.errors import LossError
from bogc.gradients.losses import check_losses
from bogc.gradients.partition import ModalityPartition

Closure = Callable[[], Mapping[str, Tensor]]
"""Returns the losses of the batch by source, [N] each, with their graph; it may start at cached features."""


class Reevaluation:
    """A closure that was evaluated once, to be evaluated again under the same conditions.

    Before each further evaluation, torch's generators and the buffers of the partition's modules are put to
    where they were before the first one, and after it to where they were before it. So draws see the same
    dropout masks and start from the same state, and running statistics are updated once, by the first.
    Modules outside the partition are not known here: call ``eval()`` on them, or start at their output.

    Args:
        closure: Of the batch; a function of the parameters, and of torch's generators, alone.
        partition: The parameters.

    Attributes:
        losses: What it returned first.
    """

    def __init__(self, closure: Closure, partition: ModalityPartition) -> None:
        self._closure, self._partition = closure, partition
        self._before = Conditions(partition.modules)
        self.losses = evaluate(closure)

    @contextmanager
    def at(self, values: Mapping[nn.Parameter, Tensor]) -> Iterator[Mapping[str, Tensor]]:
        """Give the losses with ``values`` in place of parameters, which have them until it is left.

        Raises:
            LossError: The closure returns its first tensors, or other sources or numbers of samples.
        """
        after = Conditions(self._partition.modules)
        with replaced(values):
            try:
                self._before.restore()
                losses = evaluate(self._closure)
                self._check(losses)
                yield losses
            finally:
                after.restore()

    def _check(self, losses: Any) -> None:
        check_losses(losses, self._partition)
        sizes, again = ({s: len(loss) for s, loss in found.items()} for found in (self.losses, losses))
        if sizes != again:
            remedy = "Return the losses of one and the same batch."
            raise LossError("closure", f"must return losses of {sizes} samples again", again, remedy)
        old = [source for source, loss in losses.items() if loss is self.losses[source]]
        if old:
            remedy = "Compute them inside the closure, at least from the last layers on."
            raise LossError("closure", "must compute its losses anew", f"the first ones of {old}", remedy)


def evaluate(closure: Closure) -> Any:
    """Call ``closure`` with gradients enabled, as torch's LBFGS does; what it returns is not checked."""
    with torch.enable_grad():
        return closure()


@contextmanager
def replaced(values: Mapping[nn.Parameter, Tensor]) -> Iterator[None]:
    """Put ``values`` in place of parameters, and their own memory back on leaving, whatever happens.

    Nothing is copied, and autograd does not see it: earlier graphs stay valid, later ones are not once it is
    left.
    """
    own = [(parameter, parameter.data) for parameter in values]
    try:
        for parameter, value in values.items():
            parameter.data = value
        yield
    finally:
        for parameter, data in own:
            parameter.data = data


class Conditions:
    """The state of torch's generators, of the CPU and of the current GPU, and copies of modules' buffers."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None
        named = [(m, name, b) for m in modules for name, b in m._buffers.items() if b is not None]
        self._buffers = [(module, name, buffer, buffer.detach().clone()) for module, name, buffer in named]

    def restore(self) -> None:
        """Bring them back, to the last bit; autograd does not see it."""
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda)
        for module, name, buffer, values in self._buffers:
            buffer.data.copy_(values)
            module._buffers[name] = buffer
