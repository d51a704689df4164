"""The flow of imports goes one way, and files and functions stay small."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = sorted((ROOT / "bogc").rglob("*.py"))
ORDER = [
    "errors", "shapes", "checks", "registry", "mini", "distributed", "gradients", "data", "models",
    "posterior", "belief", "combination", "calibration", "methods", "training", "options", "listing", "cli",
    "__main__",
]  # fmt: skip
SLOW = {
    "pyro",
    "torchjd",
    "matplotlib",
    "sklearn",
    "scipy",
    "joblib",
    "dask",
    "distributed",
    "PIL",
    "tensorboard",
}
"""Third-party packages that may be imported where they are needed, because they take long to import."""


def room(path: Path) -> str:
    relative = path.relative_to(ROOT / "bogc")
    return relative.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("bogc"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("bogc.")}
    return found


@pytest.mark.parametrize("path", SOURCE, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_come_from_rooms_before(path: Path):
    if path == ROOT / "bogc" / "__init__.py":
        return
    allowed = ORDER[: ORDER.index(room(path)) + 1]
    assert imported(ast.parse(path.read_text())) <= set(allowed)


def modules(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def test_no_import_cycle_between_files():
    files = {modules(p): p for p in SOURCE if p.name != "__init__.py"}
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text())
        named = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module]
        candidates = {f"{n.module}.{a.name}" for n in named for a in n.names} | {n.module for n in named}
        graph[name] = candidates & files.keys()
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join((*trail, name))}"
        if name not in done:
            for following in graph[name]:
                visit(following, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", SOURCE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_are_small(path: Path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = [
                n for n in node.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
            ]
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 40, f"{node.name} has {length} lines"


def test_only_slow_packages_and_commands_are_imported_late():
    for path in SOURCE:
        if room(path) in ("cli", "listing", "options", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for inner in ast.walk(node):
                    if isinstance(inner, ast.ImportFrom | ast.Import):
                        name = inner.module if isinstance(inner, ast.ImportFrom) else inner.names[0].name
                        late = bool(SLOW & set(str(name).split("."))) or str(name) == "bogc.posterior"
                        assert late or "program" in str(name), f"{path.name}: {node.name} imports {name}"


def test_the_package_does_not_grow():
    def lines(*rooms: str) -> int:
        return sum(len(p.read_text().splitlines()) for p in SOURCE if not rooms or room(p) in rooms)

    core = ("gradients", "posterior", "belief", "combination", "calibration", "methods")
    assert lines(*core) <= 8900
    assert len([p for p in SOURCE if room(p) in core]) <= 61
    assert lines() <= 17850
