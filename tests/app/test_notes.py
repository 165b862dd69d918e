"""What is said beside a sound: that not all of it was analysed, and what Freesound says of it."""

import json

import numpy as np
import pytest

from app.components.player import levels_over_time
from app.text import plain
from app.views.desk_sounds import sound_data
from core.events.types import Predicted, Sound, Suggestion, new_event
from core.storage.local import open_local_workspace
from tests.helpers.app_pages import Clip, first_sound, new_app, shown
from tests.helpers.sound_files import tone, written

HOSTILE = "<img src=x onerror=alert(1)> **bold** [x](javascript:alert(1)) :red[red] $x$"
CANCELS = "was used alone, because the channels cancel each other out"


def add_sound(folder, **fields):
    """Add a sound that nobody reviewed, with this metadata and the media of another one."""
    workspace, other = open_local_workspace(folder), first_sound(folder)
    sound = Sound(title="Rain", source="Freesound", **fields)
    payload = Predicted(model=other.model, top=(), sound=sound, media=other.media)
    workspace.events.append([new_event(payload, "freesound:7", "earmark")])


def test_a_clip_whose_channels_cancel_out_is_analysed_and_says_how(app):
    inverted = tone(channels=2) * np.array([1, -1], np.float32)
    page = Clip("inverted.wav", written(inverted)).open(app)
    assert plain(CANCELS) in shown(page)


def test_a_clip_that_was_analysed_whole_has_no_note(app, bark):
    assert "used alone" not in shown(bark.open(app))


def test_the_monitor_shows_the_note_of_a_sound_as_text(app, own_workspace):
    add_sound(own_workspace, note=f"{CANCELS} {HOSTILE}")
    text = shown(app.run())
    assert not app.exception
    assert plain(CANCELS) in text
    assert plain(HOSTILE) in text
    assert HOSTILE not in text


def test_the_monitor_marks_an_explicit_sound_and_says_pack_place_and_rating(app, own_workspace):
    app.run()
    assert "Explicit" not in shown(app)
    add_sound(
        own_workspace,
        is_explicit=True,
        pack=HOSTILE,
        geotag="41.4 2.19",
        avg_rating=4.25,
        num_ratings=12,
    )
    text = shown(new_app().run())
    assert not app.exception
    assert "Explicit" in text
    assert f"Pack: {plain(HOSTILE)}" in text
    assert HOSTILE not in text
    assert plain("41.4 2.19") in text
    assert "4.2 of 5 (12 ratings)" in text


def test_no_text_of_an_older_event_turns_the_page_around(app, own_workspace):
    """Components get their texts as JSON, and choices of filters come from the tables."""
    turned = "gnp.\u202egpj\u2066"
    workspace, other = open_local_workspace(own_workspace), first_sound(own_workspace)
    texts = dict.fromkeys(("title", "author", "license", "category", "pack", "description"), turned)
    sound = Sound(source="Freesound", tags=(turned,), num_ratings=1, **texts)
    payload = Predicted(model=other.model, top=(), sound=sound, media=other.media)
    event = new_event(payload, "freesound:7", "earmark")
    workspace.events.append([event])
    assert workspace.events.of_sound("freesound:7")[0].payload.sound.title == turned
    app.run()
    assert not app.exception
    assert "gnp\\. gpj" in shown(app)
    assert not {"\u202e", "\u2066"} & set(everything_sent(app))
    assert not {"\u202e", "\u2066"} & set(json.dumps(sound_data(first_sound(own_workspace))))


def everything_sent(app) -> str:
    """All that the browser gets of the page, as text."""
    return str(app.main) + "".join(str(element.proto) for element in all_elements(app.main))


def all_elements(block):
    for child in block.children.values():
        if hasattr(child, "children"):
            yield from all_elements(child)
        else:
            yield child


# What somebody else's sidecar may hold


@pytest.mark.parametrize(
    "changed",
    [
        {"activations": np.zeros(3)},
        {"activations": np.zeros((3, 7))},
        {"activations": np.full((3, 2), np.nan)},
        {"times": np.zeros(3)},
        {"times": np.zeros((4, 2))},
        {"times": np.full((3, 2), np.inf)},
        {"times": np.float64(1)},
    ],
)
def test_arrays_that_do_not_fit_the_sound_are_not_shown(changed):
    arrays = {"activations": np.zeros((3, 2)), "times": np.ones((3, 2))}
    dog = [Suggestion(tag="dog", probability=0.5, above_threshold=True)]
    times, levels = levels_over_time(arrays, ("cat", "dog"), dog)
    assert (times.shape, levels.shape) == ((3, 2), (3, 1))
    assert levels_over_time(arrays | changed, ("cat", "dog"), dog) == (None, None)
