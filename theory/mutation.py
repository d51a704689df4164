"""Mutation of formulas: every checked formula, changed in one place, must fail one of its checks."""

import ast
import copy
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from theory.registry import Check, checks_of, formulas_of
from theory.run import run

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}


@dataclass(frozen=True)
class Mutant:
    """One changed formula.

    Attributes:
        formula: Name of the formula.
        equations: What it states.
        change: Source of the changed expression, before and after.
        source: Source of the whole changed function.
    """

    formula: str
    equations: tuple[str, ...]
    change: str
    source: str


def mutants(function: Callable[..., Any]) -> Iterator[Mutant]:
    """Change one sign, factor, exponent, constant or comparison of the function's body at a time."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"a formula is a plain function; found {ast.unparse(definition)[:80]}")
    definition.decorator_list = []
    for index, node in enumerate(_nodes(definition)):
        for choice in range(len(list(_changes(node)))):
            clone = copy.deepcopy(definition)
            target = _nodes(clone)[index]
            before = ast.unparse(target)
            list(_changes(target))[choice]()
            yield Mutant(
                function.__name__,
                function.equations,  # type: ignore[attr-defined]
                f"{before} -> {ast.unparse(target)}",
                ast.unparse(clone),
            )


def _nodes(definition: ast.FunctionDef) -> list[ast.AST]:
    """Nodes of the body, in an order that a copy shares."""
    return [node for statement in definition.body for node in ast.walk(statement)]


def _changes(node: ast.AST) -> Iterator[Callable[[], None]]:
    """Yield the ways to change ``node`` in place."""
    if isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
        yield lambda: setattr(node, "op", SWAPS[type(node.op)]())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        yield lambda: setattr(node, "right", ast.BinOp(node.right, ast.Add(), ast.Constant(1)))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield lambda: setattr(node, "op", ast.UAdd())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield lambda: setattr(node, "ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):  # True is no number here
        value: Any = node.value
        yield lambda: setattr(node, "value", value + 1)


def survivors(module: ModuleType, every: int = 1, first: int = 0) -> tuple[int, list[Mutant]]:
    """Mutate every formula of a chapter; return the number of mutants and those that no check caught.

    A check that fails without any change catches nothing. ``every`` and ``first`` take a sample of the
    mutants: numbers first, first + every, ...
    """
    sound = cache(lambda check: run(check).passed)
    found = [mutant for function in formulas_of(module) for mutant in mutants(function)][first::every]
    return len(found), [mutant for mutant in found if not _caught(module, mutant, sound)]


def _caught(module: ModuleType, mutant: Mutant, sound: Callable[[Check], bool]) -> bool:
    """Whether a check of the formula fails on the mutant and passes without it; simulations come last."""
    own = set(mutant.equations)
    relevant = sorted(
        (c for c in checks_of(module) if own & set(c.equations)), key=lambda c: c.failure_rate > 0
    )
    return any(not _passes(module, mutant, check) and sound(check) for check in relevant)


def _passes(module: ModuleType, mutant: Mutant, check: Check) -> bool:
    """Put the mutant in the formula's place, run a check, and put the formula back."""
    original = getattr(module, mutant.formula)
    scope = vars(module)
    exec(compile(mutant.source, f"<mutant of {mutant.formula}>", "exec"), scope)
    changed = getattr(module, mutant.formula)
    changed.equations = original.equations
    try:
        return run(check).passed
    finally:
        setattr(module, mutant.formula, original)
