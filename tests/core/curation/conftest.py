"""A workspace with its curation, and short ways to fill it."""

import pytest

from core.curation.opening import open_curation
from core.events.fold import confirm, save_changes
from tests.helpers.events import predicted


@pytest.fixture
def curation(workspace):
    return open_curation(workspace)


@pytest.fixture
def add(workspace):
    """Adds predicted sounds of these numbers, all with the same tags."""

    def add(*numbers, tags=("dog", "bark")):
        workspace.events.append([predicted(number, *tags) for number in numbers])

    return add


@pytest.fixture
def act(workspace):
    """Confirms a sound as somebody, or saves changes of its tags; returns the event."""

    def act(number, tags, actor="ada", how=confirm):
        event = how(workspace.sounds.get(f"freesound:{number}"), tags, actor)
        workspace.events.append([event])
        return event

    return act


@pytest.fixture
def change(act):
    """Saves changes of a sound's tags as somebody."""
    return lambda number, tags, actor="ada": act(number, tags, actor, save_changes)


@pytest.fixture
def tags_of(workspace):
    """The current tags of a sound."""
    return lambda number: workspace.sounds.get(f"freesound:{number}").tags
