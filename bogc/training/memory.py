"""Memory that a computation needs, as tensors see it: the same number on the CPU and on a GPU."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors while it is active, after each operation of torch.

    What several tensors share counts once. The workspace of a kernel and what the allocator rounds up or
    keeps are not seen, so that the number does not depend on the allocator or on what ran before.

    Attributes:
        now: Bytes alive.
        peak: The largest ``now`` so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._seen: weakref.WeakSet[UntypedStorage] = weakref.WeakSet()

    def count(self, tensors: Iterable[Tensor]) -> None:
        """Add storages that have not been; each is subtracted when torch frees it."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage not in self._seen:
                self._seen.add(storage)
                size = storage.nbytes()
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, size)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        self.count(tensors_in(out))
        return out

    def _free(self, size: int) -> None:
        self.now -= size


def peak_bytes(work: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """Largest number of bytes of tensors alive at once while ``work`` runs, ``held`` ones included.

    Costs some tens of microseconds an operation: not for a step that is timed.

    Args:
        work: Is called once; its result is dropped.
        held: Tensors that are there before, such as parameters; they are subtracted when ``work`` frees them.
    """
    counter = LiveBytes()
    counter.count(held)
    with counter:
        work()
    return counter.peak


def tensors_in(value: object) -> Iterator[Tensor]:
    """All tensors of nested dicts, lists and tuples."""
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
