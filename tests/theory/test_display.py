from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.display import Point, Statement, WrongDisplayError, bound, display_check, points, read, statements
from theory.grammar import Parser
from theory.latex import tokens
from theory.registry import READINGS, Reading, reads
from theory.run import run
from theory.values import Average, Each, Of, Operator, UnreadableError

SETS = [frozenset(s) for s in ((), (1,), (2,), (1, 2))]


def value(text: str, **scope: Any) -> Any:
    env = bound(scope)
    return Parser(tokens(text), env).chain().sides[0](env)


def holds(text: str, scope: dict[str, Any], *, sharp: tuple[int, ...] = ()) -> int:
    point = Point(bound(scope), sharp)
    return sum(statement.holds(point, 1e-9) for statement in statements(tokens(text)))


@pytest.fixture
def reading() -> Iterator[dict[str, Any]]:
    """A reading of display 9.1 at one point; the test fills it."""
    scope: dict[str, Any] = {}
    READINGS["0.99"] = Reading(lambda _: scope, 1, 1e-9)
    points.cache_clear()
    yield scope
    del READINGS["0.99"]
    points.cache_clear()


LEAVES = st.integers(0, 9).map(lambda n: (str(n), float(n)))


def grown(parts: st.SearchStrategy[tuple[str, float]]) -> st.SearchStrategy[tuple[str, float]]:
    two = st.tuples(parts, parts)
    return st.one_of(
        two.map(lambda p: (f"({p[0][0]}+{p[1][0]})", p[0][1] + p[1][1])),
        two.map(lambda p: (rf"\big({p[0][0]} - {p[1][0]}\big)", p[0][1] - p[1][1])),
        two.map(lambda p: (rf"({p[0][0]})({p[1][0]})", p[0][1] * p[1][1])),
        two.map(lambda p: (rf"\frac{{{p[0][0]}}}{{1+({p[1][0]})^2}}", p[0][1] / (1 + p[1][1] ** 2))),
        parts.map(lambda p: (rf"\sqrt{{({p[0]})^2}}", abs(p[1]))),
        parts.map(lambda p: (f"-{p[0]}", -p[1])).map(lambda p: (f"({p[0]})", p[1])),
    )


@given(st.recursive(LEAVES, grown, max_leaves=8))
def test_arithmetic(expression: tuple[str, float]):
    text, wanted = expression
    assert value(text) == pytest.approx(wanted, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"\frac12x_1", 1.5),
        (r"2x_{2}^2", 50.0),
        (r"x_{t-1}", 5.0),
        (r"y_{12}-y_{21}", -1.0),
        (r"\sum_{i=1}^3x_i", 15.0),
        (r"\sum_kx_k^2-\prod_{k}x_k", 83.0 - 105.0),
        (r"\max_kx_k+\min(4,2)", 9.0),
        (r"\sum_{j<k}x_jx_k", 15.0 + 21.0 + 35.0),
        (r"\sum_{k\ne2}x_k", 10.0),
        (r"\sum_{B\subseteq A}m(B)", 3.0),
        (r"\sum_{|B|=1}m(B)/|A|", 0.75),
        (r"\langle v,v\rangle-\lVert v\rVert^2", 0.0),
        (r"\langle v\rangle", 1.5),
        (r"\lvert-3\rvert-[2=2]", 2.0),
        (r"a^\top Wa", 7.0),
        (r"\mathbb E(g-1)^2", 1.75),
        (r"\mathbb E[g]g", 0.0),
        (r"\mathrm{twice}\frac12\cdot3", 3.0),
        (r"\log\frac{e}1-\ln e", 0.0),
        (r"\hat\tau^2+\hat\tau", 7.0),
        (r"\Gamma(4)", 6.0),
        (r".25+1.5", 1.75),
    ],
)
def test_examples(text: str, wanted: float):
    scope = {
        "x": [3.0, 5.0, 7.0],
        "y": [[1.0, 2.0], [3.0, 4.0]],
        "k": Each([1, 2, 3]),
        "j": Each([1, 2, 3]),
        "t": 3,
        "A": frozenset([1, 2]),
        "B": Each(SETS),
        "m": lambda s: sum(s) / 2,
        "v": np.array([1.0, 2.0]),
        "a": np.array([[1.0], [2.0]]),
        "W": np.array([[1.0, 1.0], [2.0, 0.0]]),
        r"\mathbb E": Average([{"g": 0.0}, {"g": 2.0}, {"g": -1.0}], [0.25, 0.5, 0.25]),
        "g": 0.0,
        r"\mathrm{twice}": Operator(lambda x: 2 * x),
        "e": np.e,
        r"\hat\tau^2": 4.0,
        r"\hat\tau": 3.0,
    }
    assert np.squeeze(value(text, **scope)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "text",
    [
        r"x=1+1,\qquad y\ge x\text{ hence } y>1",
        r"x\ne y<4\Longrightarrow x\le2.",
        r"z_k=k^2",
        r"x=2\text{ if }y>0,\quad x=5\text{ otherwise}",
        r"y-x\approx.99",
        r"(x,\quad y)=(2,2.99)",
        r"\frac{\partial f}{\partial z_k}=2k",
    ],
)
def test_statements_that_hold(text: str):
    slope = {r"\frac{\partial f}{\partial z_k}": Of("k", lambda k: 2 * k)}
    assert holds(text, {"x": 2, "y": 2.99, "z": [1, 4, 9], "k": Each([1, 2, 3]), **slope})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x=3", "2 = 3"),
        (r"x\le y=5", "3 = 5"),
        (r"z_k\ge2", r"1.0 \\ge 2"),
        (r"y\approx2.9", r"3 \\approx 2.9"),
        (r"x=2\text{ if }y<0", "holds, its condition y < 0 does not"),
        (r"x=3\text{ if }y>0", "2 = 3"),
    ],
)
def test_statements_that_do_not(text: str, reason: str):
    with pytest.raises(WrongDisplayError, match=reason):
        holds(text, {"x": 2, "y": 3, "z": [1, 4, 9], "k": Each([1, 2, 3])})


def test_a_bound_that_is_declared_sharp_must_be_attained():
    scope = {"x": 2, "y": 3}
    assert holds(r"x\le y\le3", scope, sharp=())
    point = Point(bound(scope), (0,))
    with pytest.raises(WrongDisplayError, match="2 = 3"):
        Statement(tokens(r"x\le y\le3")).holds(point, 1e-9)
    assert Statement(tokens(r"x\le y\le3")).holds(Point(bound(scope), (1,)), 1e-9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("q=1", "q is not bound"),
        (r"\unknown x=1", r"\\unknown is not bound"),
        ("x/xx=1", "a product after a slash is ambiguous"),
        ("x2=4", "a number after a factor is ambiguous"),
        (r"x=2\text{ otherwise}", "other than what"),
        (r"\max(x)=2", "expected 2 arguments, found 1"),
        ("x", "claims nothing"),
        ("x=x", "claims nothing"),
        ("z_4=1", r"index 4 outside 1\.\.3"),
        ("x_1=1", "which is no array"),
        ("z=v", "shapes"),
        ("f=1", "expected arguments in brackets"),
        (r"\sum_xx=1", "no range for x"),
        (r"\sum_{k,x}x=1", "no range for k , x"),
        ("(x=2)=1", "a relation in brackets"),
        (r"\mathrm{x}=1", "is not bound"),
        ("(x=1", r"expected \)"),
        ("x+=1", "= is not bound"),
        ("x)=1", r"cannot read on at \)"),
        ("x^{2+}=1", "expected more"),
    ],
)
def test_what_cannot_be_read_is_an_error(text: str, reason: str):
    scope = {"x": 2, "z": [1, 4, 9], "v": [1, 2], "k": Each([1, 2, 3]), "f": abs}
    with pytest.raises(UnreadableError, match=reason):
        holds(text, scope)


def test_a_statement_that_is_never_demanded_is_an_error(reading: dict[str, Any]):
    reading.update({"x": 2, "y": 3})
    with pytest.raises(UnreadableError, match="demanded at no point"):
        read("0.99", tokens(r"x=3\text{ if }y<0"))


def test_a_display_without_reading_or_text_is_an_error(reading: dict[str, Any]):
    with pytest.raises(UnreadableError, match=r"display 0.98 has no reading"):
        read("0.98", tokens("x=1"))
    with pytest.raises(UnreadableError, match=r"display 0.99 is empty"):
        read("0.99", tokens(""))


def test_a_wrong_display_is_a_failed_check_that_says_why(reading: dict[str, Any]):
    reading["x"] = 2
    assert run(display_check("0.99", "x=2")).passed
    outcome = run(display_check("0.99", "x=1+2"))
    assert not outcome.passed
    assert outcome.reason.endswith("x = 1 + 2: 2 = 3")


def test_a_display_has_one_reading():
    points("0.1")
    with pytest.raises(ValueError, match=r"display 0.1 has two readings"):
        reads("0.1")


def test_the_number_of_a_reading_is_well_formed():
    with pytest.raises(ValueError, match="equations must be numbers"):
        reads("4.x")
