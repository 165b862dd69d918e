"""The project's modules as they stand in the files: their imports, names and docstrings."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("core", "app", "pages", "jobs", "training", "benchmarks")


@dataclass(frozen=True)
class Import:
    """One imported name: `from a.b import c` is `a.b.c`, whatever `c` is."""

    name: str
    line: int
    for_types_only: bool
    at_start: bool
    """True if it runs when the module is imported, False if a function does it later."""


@dataclass(frozen=True)
class Module:
    """A Python file of the project."""

    name: str
    path: Path

    @property
    def place(self) -> str:
        """Return the path from the project's root, for messages."""
        return str(self.path.relative_to(ROOT))

    @property
    def package(self) -> str:
        """Return the package that relative imports count from."""
        return self.name if self.path.stem == "__init__" else self.name.rpartition(".")[0]

    @cached_property
    def text(self) -> str:
        """Return the file's text."""
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Return the syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Return all imports anywhere in the file."""
        return tuple(imports(self.tree, self.package))


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Return the modules of some folders of the project, by default of all its packages."""
    paths = [path for folder in folders or PACKAGES for path in (ROOT / folder).rglob("*.py")]
    return tuple(Module(_module_name(path), path) for path in sorted(paths))


def owner(name: str, known: Iterable[str]) -> str | None:
    """Return the known module that an imported name is or stands in."""
    while name:
        if name in known:
            return name
        name = name.rpartition(".")[0]
    return None


def import_graph(*folders: str, at_start_only: bool = False) -> dict[str, set[str]]:
    """Return which modules of some folders import which.

    Args:
        folders: Folders of the project; by default all its packages.
        at_start_only: Leave out what functions import, and what is imported for types only.
    """
    graph: dict[str, set[str]] = {module.name: set() for module in modules(*folders)}
    for module in modules(*folders):
        for imported in module.imports:
            if at_start_only and (imported.for_types_only or not imported.at_start):
                continue
            target = owner(imported.name, graph)
            if target and target != module.name:
                graph[module.name].add(target)
    return graph


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Return the modules that a module brings with it, itself included."""
    reached, queue = set(), [start]
    while queue:
        name = queue.pop()
        if name not in reached:
            reached.add(name)
            queue += graph.get(name, ())
    return reached


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reached = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _module_name(path: Path) -> str:
    """Return the dotted name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module, package: str) -> Iterator[Import]:
    """Yield the imports of a file with what surrounds them."""
    queue: list[tuple[ast.AST, bool, bool]] = [(tree, False, True)]
    while queue:
        node, for_types_only, at_start = queue.pop()
        for name in _imported_names(node, package):
            yield Import(name, getattr(node, "lineno", 0), for_types_only, at_start)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            queue += [(child, True, at_start) for child in node.body]
            queue += [(child, for_types_only, at_start) for child in node.orelse]
            continue
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        children = ast.iter_child_nodes(node)
        queue += [(child, for_types_only, at_start and not later) for child in children]


def _imported_names(node: ast.AST, package: str) -> list[str]:
    """Return the dotted names that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        parents = parents[: len(parents) - node.level + 1]
        base = ".".join([*parents, base] if base else parents)
    return [base if alias.name == "*" else f"{base}.{alias.name}" for alias in node.names]
