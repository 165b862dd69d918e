"""What holds for the project as a whole: who may import whom, and what must not be in it."""

import ast
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.helpers.source_tree import (
    PACKAGES,
    ROOT,
    Module,
    cycles,
    import_graph,
    imports,
    modules,
    owner,
    reachable,
)

MAY_IMPORT = {
    "core": {"core"},
    "training": {"training", "core"},
    "jobs": {"jobs", "training", "core"},
    "app": {"app", "core"},
    "pages": {"app", "core"},
    "benchmarks": {"benchmarks", "app", "jobs", "training", "core"},
}
"""Packages of ours that a package may import."""

BASE = {
    *("errors", "settings", "logging", "files", "sqlite", "people", "proportions", "tags"),
    *("untrusted", "work", "setting_checks"),
}
ABOVE = {"audio", "model", "events", "storage", "freesound", "pipeline", "publishing", "curation"}
ALL_OF_CORE = BASE | ABOVE | {"cli", "doctor", "notifications"}
CORE_MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors", "setting_checks"},
    "setting_checks": {"errors"},
    "logging": {"errors"},
    **dict.fromkeys(BASE - {"errors", "settings", "setting_checks", "logging"}, BASE),
    "cli": ALL_OF_CORE,
    "audio": BASE,
    "model": BASE | {"audio"},
    "events": BASE,
    "storage": BASE | {"audio", "model", "events"},
    "curation": BASE | {"events", "storage"},
    "freesound": BASE,
    "pipeline": BASE | {"audio", "model", "events", "storage", "freesound"},
    "publishing": BASE | {"audio", "model", "events", "storage", "freesound", "pipeline"},
    "notifications": ABOVE | BASE,
    "doctor": ALL_OF_CORE,
    "__main__": ALL_OF_CORE,
}
"""Parts of core that a part of core may import; every part may import itself."""

LIBRARY_OWNERS = {
    "streamlit": ("app", "pages", "benchmarks.startup", "benchmarks.app_client"),
    "starlette": ("app",),
    "plotly": ("app", "pages"),
    "modal": ("jobs.modal_",),
    "hopsworks": ("core.storage.hopsworks",),
    "hopsworks_common": ("core.storage.hopsworks",),
    "hsml": ("core.storage.hopsworks",),
    "librosa": ("training", "benchmarks"),
    "sklearn": ("training", "core.model.metrics"),
    "h5py": ("training",),
    "torch": ("core.model", "training", "benchmarks"),
    "onnx": ("core.model.export",),
    "onnxruntime": ("core.model.inference",),
    "apprise": ("core.notifications",),
    "authlib": ("core.freesound",),
    "sqlalchemy": (
        *("core.sqlite", "core.events", "core.storage", "core.freesound"),
        *("core.publishing", "core.pipeline", "core.curation"),
    ),
    "av": ("core.audio", "benchmarks.fuzz"),
    "soundfile": ("core.audio", "training", "benchmarks"),
}
"""Prefixes of the modules that may import a library."""

DISTRIBUTIONS = {
    "PIL": "pillow",
    "axe_playwright_python": "axe-playwright-python",
    "google": "modal",  # protobuf, which the Modal double speaks
    "grpclib": "modal",
    "hopsworks_common": "hopsworks",
    "hsml": "hopsworks",
    "modal_proto": "modal",
    "packaging": "pytest",
    "pydantic_settings": "pydantic-settings",
    "requests_toolbelt": "requests-toolbelt",
    "sklearn": "scikit-learn",
    "typing_extensions": "typing-extensions",
}
"""Distributions of the names that are imported, where these differ."""


def part_of_core(name: str) -> str:
    """Return the part of core that a module of it belongs to."""
    return name.split(".")[1] if "." in name else ""


def ours(module: Module) -> set[tuple[str, str]]:
    """Return the imports of our own modules, each with where it stands."""
    names = {other.name for other in modules()}
    return {
        (target, f"{module.place}:{imported.line}")
        for imported in module.imports
        if (target := owner(imported.name, names))
    }


def libraries(module: Module) -> set[tuple[str, str]]:
    """Return the top-level names of what a module imports, each with where it stands."""
    return {
        (imported.name.split(".")[0], f"{module.place}:{imported.line}")
        for imported in module.imports
    }


def assert_none(problems: Iterable[str]) -> None:
    """Fail with all problems, one a line."""
    lines = sorted(problems)
    assert not lines, "\n" + "\n".join(lines)


# Who may import whom


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_is_below_them(package):
    assert modules(package)
    known = {*PACKAGES, "tests", "docs", "examples", "streamlit_app"}
    assert_none(
        f"{place} imports {name}"
        for module in modules(package)
        for name, place in libraries(module)
        if name in known - MAY_IMPORT[package]
    )


def test_pages_do_not_import_one_another():
    assert_none(
        place for module in modules("pages") for name, place in libraries(module) if name == "pages"
    )


@pytest.mark.parametrize("part", sorted(CORE_MAY_IMPORT))
def test_parts_of_core_import_only_what_is_below_them(part):
    inside = [module for module in modules("core") if part_of_core(module.name) == part]
    assert inside
    allowed = CORE_MAY_IMPORT[part] | {part, ""}
    assert_none(
        f"{place} imports {name}"
        for module in inside
        for name, place in ours(module)
        if name.startswith("core") and part_of_core(name) not in allowed
    )


def test_every_part_of_core_has_its_place_in_the_order():
    parts = {part_of_core(module.name) for module in modules("core")} - {""}
    assert parts == set(CORE_MAY_IMPORT)


def test_a_circle_of_imports_is_noticed():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": {"d"}, "f": {"a"}}
    assert cycles(graph) == [["a", "b", "c"], ["d", "e"]]
    here = Module("tests.helpers.example", Path(__file__))
    assert "tests.helpers.source_tree.cycles" in {entry.name for entry in here.imports}
    late = ast.parse("def f():\n    from . import x\nif TYPE_CHECKING:\n    import y.z")
    assert {(entry.name, entry.at_start, entry.for_types_only) for entry in imports(late, "p")} == {
        ("p.x", False, False),
        ("y.z", True, True),
    }


def test_no_modules_import_each_other_in_a_circle():
    assert_none(" <-> ".join(group) for group in cycles(import_graph(*PACKAGES)))


def test_a_source_does_not_know_the_store():
    brought = reachable(import_graph("core", at_start_only=True), "core.pipeline.sources")
    direct = import_graph("core")["core.pipeline.sources"]
    store = {
        name
        for name in brought | direct
        if name.startswith("core.storage") or name == "core.events.store"
    }
    assert store == set()


def test_storage_knows_no_network():
    graph = import_graph("core")
    assert_none(
        f"{name} imports {target}"
        for name in graph
        if name.startswith("core.storage")
        for target in graph[name]
        if target.startswith("core.model.networks")
    )
    brought = reachable(import_graph("core", at_start_only=True), "core.storage.workspace")
    assert "core.model.networks" not in brought


def test_the_event_store_does_not_know_hopsworks():
    for module in modules("core/events"):
        assert "hopsworks" not in module.text.lower(), module.place


@pytest.mark.parametrize("library", LIBRARY_OWNERS)
def test_libraries_are_imported_only_by_their_owners(library):
    assert_none(
        place
        for module in modules()
        for name, place in libraries(module)
        if name == library and not module.name.startswith(LIBRARY_OWNERS[library])
    )


def test_charts_know_nothing_of_streamlit():
    (charts,) = (module for module in modules("app") if module.path.name == "charts.py")
    assert "streamlit" not in {name for name, _ in libraries(charts)}


# What must not be in it


READS_PUBLISHED_WEIGHTS = "training.pretrained"
"""Weights that others published are a PyTorch file. Its checksum is pinned, `weights_only` makes
tensors and nothing else of it, and the command keeps them as safetensors."""


def pickles(module: Module) -> Iterable[str]:
    """Yield where a module imports a pickler or lets a library unpickle."""
    for name, place in libraries(module):
        if name in {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}:
            yield place
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and may_unpickle(node):
            if module.name == READS_PUBLISHED_WEIGHTS and reads_tensors_only(node):
                continue
            yield f"{module.place}:{node.lineno}"


def may_unpickle(call: ast.Call) -> bool:
    """Tell if a call lets a library read or write pickles."""
    for word in call.keywords:
        if word.arg == "allow_pickle" and ast.unparse(word.value) != "False":
            return True
    return ast.unparse(call.func) in {"torch.load", "torch.save"}


def reads_tensors_only(call: ast.Call) -> bool:
    """Tell if a call is torch.load(..., weights_only=True)."""
    only = {word.arg: ast.unparse(word.value) for word in call.keywords}.get("weights_only")
    return ast.unparse(call.func) == "torch.load" and only == "True"


def test_there_are_no_pickles():
    assert_none(place for module in modules() for place in pickles(module))


def test_there_are_no_paths_of_one_machine():
    folders = (*PACKAGES, "docs", "examples", "tests")
    places = "|".join(re.escape(f"{place}/") for place in (ROOT, ROOT.parent / "shared"))
    place = re.compile(rf"[\"'(\s](?:{places})")
    assert_none(module.place for module in modules(*folders) if place.search(module.text))


FOR_DEVELOPMENT = {"playwright", "websockets"}
"""Distributions that only benchmarks need besides the tests."""


def pins(name: str) -> set[str]:
    """Return the distributions that a file of requirements pins."""
    text = (ROOT / name).read_text("utf-8")
    return set(re.findall(r"^([\w-]+)(?:\[\w+\])?==\d", text, re.MULTILINE))


def distributions(*folders: str) -> set[str]:
    """Return the distributions that some folders import from."""
    foreign = {name for module in modules(*folders) for name, _ in libraries(module)}
    foreign -= {*sys.stdlib_module_names, *PACKAGES, "tests", "docs", "streamlit_app"}
    return {DISTRIBUTIONS.get(name, name) for name in foreign}


def test_requirements_pin_what_the_code_imports_and_no_more():
    imported = distributions(*PACKAGES, "examples", "docs")
    assert imported - FOR_DEVELOPMENT == pins("requirements.txt")


def test_requirements_for_development_pin_what_the_tests_import():
    known = pins("requirements.txt") | pins("requirements-dev.txt")
    assert distributions("tests") - known == set()
