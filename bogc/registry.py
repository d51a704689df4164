"""Registries: the open choices of a kind by name, filled by decorator, from this package or from yours.

    @WEIGHTS.register("mine")
    @dataclass(frozen=True)
    class Mine(Weights): ...

The command line, the configuration and the tables of the documentation read the registries, so a new choice
is a class and this line.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NoReturn, TypeVar

from bogc.errors import ConfigError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from name to choice, in order of registration.

    Args:
        kind: What an error calls the choice, such as ``"frame"``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._found: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that puts a choice under ``name`` and leaves it as it is.

        Raises:
            ConfigError: The name is taken by another choice.
        """

        def put(choice: T) -> T:
            if self._found.get(name, choice) is not choice:
                remedy = "Choose another name, or withdraw() that choice first."
                raise ConfigError(self.kind, f"{name!r} must be new", self._found[name], remedy)
            self._found[name] = choice
            return choice

        return put

    def withdraw(self, name: str) -> None:
        """Forget a choice.

        Raises:
            ConfigError: It is not registered.
        """
        self.choose(name)
        del self._found[name]

    def choose(self, name: str) -> T:
        """Look up ``name``.

        Raises:
            ConfigError: It is not registered; the message lists the names that are.
        """
        return self._found[name] if name in self._found else self._refuse(name)

    def _refuse(self, given: object) -> NoReturn:
        rule = f"must be one of {', '.join(self._found)}"
        raise ConfigError(self.kind, rule, repr(given), "Choose one of these, or register yours first.")

    def name_of(self, choice: T) -> str:
        """Name under which ``choice`` is registered.

        Raises:
            ConfigError: It is not.
        """
        names = (name for name, found in self._found.items() if found is choice)
        return next(names, None) or self._refuse(choice)

    def __getitem__(self, name: str) -> T:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
