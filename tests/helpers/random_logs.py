"""Random logs of a few sounds, in the batches in which they are appended."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from core.events.fold import confirm, fold, mark, save_changes, undo
from core.events.types import (
    Imported,
    ModelRef,
    Predicted,
    Published,
    Sound,
    Suggestion,
    Withdrawn,
    new_event,
)

TAGS = ("dog", "bark", "rain", "field-recording")
WORDS = ("wolf", "dogs", "rain", "old", "door")
LICENSES, UPLOADERS, RUNS = ("", "cc0", "by"), ("", "ada", "bob"), ("", "a" * 32, "b" * 32)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

texts = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
probabilities = st.sampled_from([0.0, 0.04, 0.3, 0.5, 0.77, 1.0])
some_tags = st.lists(st.sampled_from(TAGS), unique=True, max_size=3)


@st.composite
def predictions(draw, sound_id):
    top = [
        Suggestion(tag=tag, probability=draw(probabilities), above_threshold=draw(st.booleans()))
        for tag in draw(some_tags)
    ]
    sound = Sound(
        title=draw(texts),
        source="test",
        author=draw(st.sampled_from(UPLOADERS)),
        license=draw(st.sampled_from(LICENSES)),
        created=draw(st.sampled_from(["", "2026-11-20T01:02:03", "2026-11-21", "once"])),
        description=draw(texts),
        tags=tuple(draw(some_tags)),
        is_explicit=draw(st.booleans()),
        pack=draw(st.sampled_from(["", "Dogs"])),
    )
    model = ModelRef(name="cnn", version=draw(st.integers(1, 3)))
    run = draw(st.sampled_from(RUNS))
    payload = Predicted(model=model, top=tuple(top), sound=sound, run=run)
    now = NOON + timedelta(minutes=draw(st.integers(-2000, 2)))
    return new_event(payload, sound_id, "job", now=now)


@st.composite
def next_events(draw, history):
    """Draw what may happen to a sound next."""
    state, actor = fold(history), draw(st.sampled_from(["ada", "bob"]))
    tags = draw(some_tags)
    kind = draw(st.sampled_from(["confirm", "change", "mark", "undo", "publish", "predict", "go"]))
    match kind:
        case "confirm":
            return confirm(state, tags, actor)
        case "change":
            return save_changes(state, tags, actor) or confirm(state, tags, actor)
        case "mark":
            return mark(state, draw(st.sampled_from(["not sure", "untaggable"])), actor)
        case "undo":
            return undo(state, draw(st.sampled_from(history)).event_id, actor)
        case "publish":
            decisions = confirm(state, tags, actor).payload.decisions
            basis = state.basis.event_id if state.basis else None
            payload = Published(decisions=decisions, basis=basis, tags=tuple(tags))
            return new_event(payload, state.sound_id, actor, base=history[-1])
        case "predict":
            return draw(predictions(state.sound_id))
    if draw(st.integers(0, 2)):
        return new_event(Imported(tags=tuple(tags)), state.sound_id, "import", base=history[0])
    return new_event(Withdrawn(reason="gone"), state.sound_id, actor, base=history[-1])


@st.composite
def batches_of_events(draw):
    """Draw a log in the batches in which it is appended."""
    ids = [f"freesound:{number}" for number in range(1, draw(st.integers(1, 8)) + 1)]
    histories = {sound_id: [draw(predictions(sound_id))] for sound_id in ids}
    batches = [[history[0] for history in histories.values()]]
    for _ in range(draw(st.integers(0, 8))):
        sound_id = draw(st.sampled_from(ids))
        event = draw(next_events(histories[sound_id]))
        histories[sound_id].append(event)
        batches.append([event])
    return batches
