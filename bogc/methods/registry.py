"""Every method by name: what it is, what it needs, its settings, and how it is made for a network.

A method registers itself::

    @method("mine", summary="...", paper="...", needs="all losses", passes="1", settings=MySettings)
    def build(job: Job) -> Balancer: ...

The command line's flags, the training configuration, ``bogc methods`` and the tables of the documentation
follow from the registry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from bogc.errors import ConfigError
from bogc.gradients import ModalityPartition
from bogc.methods.base import Balancer
from bogc.methods.search import Distribution
from bogc.models import MultimodalClassifier
from bogc.registry import Registry

CLASSIFIER: Final = "classifier"
EXPERTS: Final = "product of experts"

T = TypeVar("T")


def setting(default: Any, text: str, search: Distribution | None = None, names: Iterable[str] = ()) -> Any:
    """Make a dataclass field with a default, its flag's help text, tuning range, and names to choose from."""
    return field(default=default, metadata={"help": text, "search": search, "names": names})


@runtime_checkable
class Partitioned(Protocol):
    """A network that says which of its modules belong to which modality."""

    def partition(self) -> ModalityPartition:
        """Partition its parameters."""
        ...


@dataclass(frozen=True)
class Job:
    """What a method may need to know when it is made.

    Attributes:
        model: The network.
        settings: The method's own settings, of the type it registered; None if it has none.
        steps: Number of optimiser steps planned.
        samples: Size of the training set; None if it is not known.
    """

    model: Partitioned
    settings: Any
    steps: int
    samples: int | None = None

    @property
    def classifier(self) -> MultimodalClassifier:
        """The network, for methods that look at the fused head.

        Raises:
            ConfigError: It is of another kind.
        """
        if not isinstance(self.model, MultimodalClassifier):
            found = type(self.model).__name__
            remedy = "Build the balancer yourself."
            raise ConfigError("model", "must be a MultimodalClassifier", found, remedy)
        return self.model


Build = Callable[[Job], Balancer]


@dataclass(frozen=True)
class MethodSpec:
    """One method as the command line knows it.

    Attributes:
        summary: One line.
        paper: Where it comes from.
        needs: What it takes from a step.
        passes: Backward passes a step for M modalities.
        build: Makes the balancer.
        table: Its settings' name in TABLES; "" if it has none.
        model: Kind of network it trains.
    """

    summary: str
    paper: str
    needs: str
    passes: str
    build: Build
    table: str = ""
    model: str = CLASSIFIER


METHODS: Final[Registry[MethodSpec]] = Registry("method")
TABLES: Final[Registry[type]] = Registry("table of settings")
"""Name of a table of settings -> its type; several methods may have one in common."""


def method(
    name: str,
    *,
    summary: str,
    paper: str,
    needs: str,
    passes: str,
    settings: type | None = None,
    table: str = "",
    model: str = CLASSIFIER,
) -> Callable[[Build], Build]:
    """Return a decorator that registers a function that makes the balancer.

    Args:
        name: Of the method.
        summary: One line.
        paper: Where it comes from.
        needs: What it takes from a step.
        passes: Backward passes a step for M modalities.
        settings: A frozen dataclass whose fields are made by ``setting``.
        table: Name of the settings in a configuration file and before their flags; by default the method's.
        model: Kind of network it trains.

    Raises:
        ConfigError: The name is taken.
    """

    def put(build: Build) -> Build:
        own = "" if settings is None else table or name.replace("-", "_")
        METHODS.register(name)(MethodSpec(summary, paper, needs, passes, build, own, model))
        if settings is not None:
            TABLES.register(own)(settings)
        return build

    return put


def build_balancer(
    name: str, model: Partitioned, settings: Any, steps: int, samples: int | None = None
) -> Balancer:
    """Make the balancer called ``name`` for ``model``, which is to be trained for ``steps`` steps.

    Args:
        name: A key of METHODS.
        model: A network of the kind that the method trains.
        settings: Of the method's own type in TABLES; None if it has none.
        steps: Optimiser steps planned.
        samples: Size of the training set.

    Raises:
        ConfigError: No method has that name, or the method cannot be used with this network.
    """
    return METHODS.choose(name).build(Job(model, settings, steps, samples))
