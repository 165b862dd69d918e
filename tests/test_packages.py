"""constraints.txt pins every package that the requirements bring."""

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
CUDA = re.compile(r"nvidia-.*|cuda-.*|triton")  # of PyTorch's CUDA build, which pins them itself
NINE = {
    "streamlit",
    "torch",
    "librosa",
    "numpy",
    "scikit-learn",
    "hopsworks",
    "plotly",
    "modal",
    "soundfile",
}


def requirements(name):
    """The requirements in a file, by name, those of files that it includes left out."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    parsed = [Requirement(line) for line in lines if line and not line.startswith("-r")]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def brought_by(roots):
    """Every package that these bring on this machine, by name with its installed version."""
    brought, queue = {}, [(requirement.name, requirement.extras) for requirement in roots]
    seen = set()
    while queue:
        name, extras = queue.pop()
        key = (canonicalize_name(name), frozenset(extras))
        if key in seen:
            continue
        seen.add(key)
        distribution = importlib.metadata.distribution(name)
        brought[key[0]] = distribution.version.partition("+")[0]
        for text in distribution.requires or ():
            requirement = Requirement(text)
            environments = [{"extra": extra} for extra in ("", *extras)]
            marker = requirement.marker
            if marker is None or any(marker.evaluate(environment) for environment in environments):
                queue.append((requirement.name, requirement.extras))
    return brought


@pytest.fixture(scope="module")
def brought():
    roots = requirements("requirements.txt") | requirements("requirements-dev.txt")
    return brought_by(roots.values())


def test_every_package_is_pinned_to_the_version_that_is_installed(brought):
    pins = {
        name: str(requirement.specifier)
        for name, requirement in requirements("constraints.txt").items()
    }
    needed = {name: f"=={version}" for name, version in brought.items() if not CUDA.fullmatch(name)}
    assert {name: pin for name, pin in needed.items() if pins.get(name) != pin} == {}


def test_nothing_is_pinned_that_nothing_needs(brought):
    here = {
        name
        for name, requirement in requirements("constraints.txt").items()
        if requirement.marker is None or requirement.marker.evaluate()
    }
    assert here - brought.keys() == set()


def test_requirements_keep_the_nine_packages_of_the_design_and_pin_exactly():
    pinned = requirements("requirements.txt")
    assert pinned.keys() >= NINE
    assert all(
        re.fullmatch(r"==[\w.]+", str(requirement.specifier)) for requirement in pinned.values()
    )
