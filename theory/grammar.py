"""A parser that turns the LaTeX of a statement into functions of a scope."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from theory.latex import BRACKETS, Key, split
from theory.values import (
    BIG,
    FUNCTIONS,
    RELATIONS,
    Average,
    Each,
    Of,
    Operator,
    UnreadableError,
    length,
    mean,
    norm,
    pick,
    power,
    times,
)

Env = Mapping[Key, Any]
Node = Callable[[Env], Any]

INFIX: dict[str, Callable[[Any, Any], Any]] = {"/": operator.truediv, r"\cap": operator.and_, r"\cdot": times}


def apply(function: Callable[..., Any], *nodes: Node) -> Node:
    """Return a function of what the nodes give."""
    return lambda env: function(*(node(env) for node in nodes))


@dataclass(frozen=True)
class Chain:
    """Sides and the relations between them.

    Attributes:
        sides: Functions of a scope.
        relations: One fewer.
        free: Names of ranges that no sum or product binds: the chain is meant for each of their values.
    """

    sides: tuple[Node, ...]
    relations: tuple[str, ...]
    free: frozenset[Key]

    def broken(self, env: Env, relations: Mapping[str, Callable[[Any, Any], bool]] = RELATIONS) -> str:
        """Return the first relation that does not hold, with its values, or ""."""
        values = [side(env) for side in self.sides]
        for left, name, right in zip(values, self.relations, values[1:], strict=False):
            if not relations[name](left, right):
                return f"{shown(left)} {name} {shown(right)}"
        return ""

    def each(self, env: Env) -> Iterator[Env]:
        """Yield the scope with every choice of the free names."""
        names = sorted(self.free)
        for choice in product(*(env[name].values for name in names)):
            yield {**env, **dict(zip(names, choice, strict=True))}


def shown(value: Any) -> str:
    """Return a value for a message."""
    return np.array2string(np.asarray(value), precision=9) if np.ndim(value) else str(value)


class Parser:
    """Recursive descent over tokens; a scope says which names are numbers, arrays, functions or ranges."""

    def __init__(self, text: Sequence[str], scope: Env) -> None:
        self.text, self.at, self.end = tuple(text), 0, len(text)
        self.names: dict[Key, Any] = dict(scope)
        for value in scope.values():
            if isinstance(value, Average):
                self.names = {**value.outcomes[0], **self.names}
        self.bound: list[Key] = []
        self.free: set[Key] = set()
        self.bar = "opens"

    def chain(self) -> Chain:
        """Read everything as one chain of relations.

        Raises:
            UnreadableError: A symbol is not bound, or the text is no chain.
        """
        sides, relations = self._chain()
        if self.at < self.end:
            raise UnreadableError(f"cannot read on at {' '.join(self.text[self.at : self.at + 8])}")
        return Chain(sides, relations, frozenset(self.free))

    # tokens

    def _peek(self) -> str:
        return self.text[self.at] if self.at < self.end else ""

    def _take(self, wanted: str = "") -> str:
        token = self._peek()
        if not token or (wanted and token != wanted):
            raise UnreadableError(f"expected {wanted or 'more'}, found {token or 'the end'}")
        self.at += 1
        return token

    def _known(self) -> Key | None:
        """Return the longest name that stands here."""
        here = self.text[self.at : self.end]
        return max((k for k in self.names if here[: len(k)] == k), key=len, default=None)

    def _group(self) -> Key:
        """Take a braced group, or one token as TeX does; return what is inside."""
        start, depth = self.at, 0
        while self.at == start or depth:
            depth += {"{": 1, "}": -1}.get(self._take(), 0)
        return self.text[start + 1 : self.at - 1] if self.text[start] == "{" else self.text[start : self.at]

    @contextmanager
    def _within(self, text: Key) -> Iterator[None]:
        """Read another text, which must be read to its end."""
        before, self.text, self.at, self.end = (self.text, self.at, self.end), text, 0, len(text)
        yield
        if self.at < self.end:
            raise UnreadableError(f"cannot read on at {' '.join(self.text[self.at :])}")
        self.text, self.at, self.end = before

    @contextmanager
    def _bars(self, role: str) -> Iterator[None]:
        """Let | open an absolute value, close one, or separate arguments."""
        before, self.bar = self.bar, role
        yield
        self.bar = before

    # sides, sums and products

    def _chain(self) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        sides, relations = [self._sum()], list[str]()
        while self._peek() in RELATIONS:
            relations.append(self._take())
            sides.append(self._sum())
        return tuple(sides), tuple(relations)

    def _sum(self) -> Node:
        node: Node | None = None
        while node is None or self._peek() in ("+", "-"):
            sign = self._take() if self._peek() in ("+", "-") else ""
            term = self._product()
            if node is None:
                node = apply(operator.neg, term) if sign == "-" else term
            else:
                node = apply(operator.sub if sign == "-" else operator.add, node, term)
        return node

    def _product(self, dots: bool = True) -> Node:
        """Read a product; the one that a sum or function applies to ends before a dot."""
        node, divided = self._factor(), False
        while True:
            token = self._peek()
            if token in INFIX and (dots or token != r"\cdot"):
                node, divided = apply(INFIX[self._take()], node, self._factor()), token == "/"
            elif not self._starts():
                return node
            elif divided or self._digit():
                where = "a product after a slash" if divided else "a number after a factor"
                raise UnreadableError(f"{where} is ambiguous: {token}")
            else:
                node = apply(times, node, self._factor())

    def _starts(self) -> bool:
        """Whether a factor starts here."""
        token = self._peek()
        if token == "|":
            return self.bar == "opens"
        opens = (*BRACKETS, *BIG, *FUNCTIONS, r"\frac", r"\sqrt", r"\varnothing")
        return self._known() is not None or token in opens or self._digit()

    # factors

    def _factor(self) -> Node:
        node = self._atom()
        while self._peek() in ("^", "_"):
            if self._take() == "_":
                node = self._indexed(node)
            elif self._peek() == r"\top":
                self._take()
                node = apply(np.transpose, node)
            else:
                node = apply(power, node, self._argument())
        return node

    def _argument(self) -> Node:
        """Read a group or, as TeX does, one token."""
        with self._bars("opens"), self._within(self._group()):
            return self._sum()

    def _indexed(self, node: Node) -> Node:
        inside = self._group()
        with self._within(inside):
            arithmetic = {"+", "-"} & set(inside)
            while self.at < self.end:
                node = apply(pick, node, self._sum() if arithmetic else self._argument())
                if self._peek() == ",":
                    self._take()
        return node

    def _atom(self) -> Node:
        name = self._known()
        if name is not None:
            return self._name(name)
        if self._digit():
            return self._number()
        if self._peek() == "|" or self._peek() in BRACKETS:
            return self._bracket()
        return self._macro(self._take())

    def _macro(self, token: str) -> Node:
        if token == r"\varnothing":
            return lambda env: frozenset()
        if token == r"\frac":
            return apply(operator.truediv, self._argument(), self._argument())
        if token == r"\sqrt":
            return apply(np.sqrt, self._argument())
        if token in BIG and self._peek() == "_":
            return self._big(BIG[token])
        if token in BIG:
            return apply(lambda first, second: BIG[token]([first, second]), *self._two())
        if token in FUNCTIONS:
            return self._function(token)
        raise UnreadableError(f"{token} is not bound")

    def _name(self, name: Key) -> Node:
        self.at += len(name)
        value = self.names[name]
        for used in value.names if isinstance(value, Of) else [name]:
            if used not in self.bound and isinstance(self.names.get(used), Each):
                self.free.add(used)
        if isinstance(value, Operator):
            inside = self._bracket() if self._peek() == "[" else self._product(dots=False)
            return lambda env: env[name](inside, env)
        if isinstance(value, Of):
            return lambda env: env[name](env)
        if callable(value):
            values = self._arguments()
            return lambda env: env[name](*(argument(env) for argument in values))
        return lambda env: env[name]

    def _digit(self) -> bool:
        """Whether a number goes on here: a digit, or a point before one."""
        after = self.text[self.at + 1 : min(self.at + 2, self.end)]
        return self._peek().isdigit() or (self._peek() == "." and bool(after) and after[0].isdigit())

    def _number(self) -> Node:
        digits = ""
        while self._digit():
            digits += self._take()
        value = float(digits) if "." in digits else int(digits)
        return lambda env: value

    def _arguments(self) -> list[Node]:
        """Read the arguments of a function."""
        if self._peek() not in ("(", "["):
            raise UnreadableError(f"expected arguments in brackets, found {self._peek() or 'the end'}")
        close = BRACKETS[self._take()]
        with self._bars("separates"):
            values = [self._sum()]
            while self._peek() in (",", "|", ";"):
                self._take()
                values.append(self._sum())
        self._take(close)
        return values

    def _two(self) -> list[Node]:
        values = self._arguments()
        if len(values) != 2:
            raise UnreadableError(f"expected 2 arguments, found {len(values)}")
        return values

    def _function(self, token: str) -> Node:
        """Read the argument of a function that does without brackets."""
        if token == r"\ln" and self._peek() == r"\Gamma":
            token += self._take()
        bracketed = self._peek() in ("(", "[")
        return apply(FUNCTIONS[token], *(self._arguments() if bracketed else [self._product(dots=False)]))

    def _bracket(self) -> Node:
        opener = self._take()
        with self._bars("closes" if opener == "|" else "opens"):
            sides, relations = self._chain()
            values = [sides[0]]
            while self._peek() in (",", r"\quad") and opener not in ("|", "{"):
                self._take()
                if self._peek() != r"\quad":
                    values.append(self._sum())
        self._take("|" if opener == "|" else BRACKETS[opener])
        if relations and opener != "[":
            raise UnreadableError(f"a relation in brackets: {' '.join(relations)}")
        if relations:  # Iverson's bracket
            test = Chain(sides, relations, frozenset())
            return lambda env: int(not test.broken(env))
        return closed(opener, values)

    # sums, products and extremes over an index

    def _big(self, combine: Callable[[Sequence[Any]], Any]) -> Node:
        self._take("_")
        inside = self._group()
        if "=" in inside and self._peek() == "^":
            self._take()
            with self._within(inside[2:]):
                first = self._sum()
            last = self._argument()
            body = self._body([inside[:1]], {inside[:1]: 0})
            return over(combine, [inside[:1]], lambda env: [range(first(env), last(env) + 1)], [], body)
        parts = split(inside, (",", ":"))
        names = list(dict.fromkeys(name for part in parts for name in self._ranges(part)))
        if not names or any(part not in names and not set(part) & set(RELATIONS) for part in parts):
            raise UnreadableError(f"no range for {' '.join(inside)}")
        self.bound += names
        tests = [self._test(part) for part in parts if part not in names]
        del self.bound[len(self.bound) - len(names) :]
        body = self._body(names, {})
        return over(combine, names, lambda env: [env[name].values for name in names], tests, body)

    def _ranges(self, part: Key) -> Iterator[Key]:
        """Yield the ranges in a condition that are not bound yet."""
        with self._within(part):
            while self.at < self.end:
                name = self._known()
                if name is not None and isinstance(self.names[name], Each) and name not in self.bound:
                    yield name
                self.at += len(name) if name else 1

    def _test(self, part: Key) -> Chain:
        with self._within(part):
            return Chain(*self._chain(), frozenset())

    def _body(self, names: list[Key], new: dict[Key, Any]) -> Node:
        """Read the product to which a sum extends, its indices bound."""
        before, self.names = self.names, {**self.names, **new}
        self.bound += names
        body = self._product(dots=False)
        del self.bound[len(self.bound) - len(names) :]
        self.names = before
        return body


def over(combine: Any, names: list[Key], spans: Node, tests: list[Chain], body: Node) -> Node:
    """Return a sum, product or extreme of ``body`` over the indices that pass the tests."""

    def node(env: Env) -> Any:
        scopes = ({**env, **dict(zip(names, choice, strict=True))} for choice in product(*spans(env)))
        return combine([body(scope) for scope in scopes if not any(test.broken(scope) for test in tests)])

    return node


def closed(opener: str, values: list[Node]) -> Node:
    """Return the meaning of a closed bracket around comma-separated values."""
    if opener == r"\lbrace":
        return apply(lambda *found: frozenset(found), *values)
    meaning = {"|": length, r"\lVert": norm, r"\langle": mean}.get(opener)
    if meaning:
        return apply(meaning, *values)
    return values[0] if len(values) == 1 else apply(lambda *found: np.array(found), *values)
