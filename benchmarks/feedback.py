"""The questions of the metrics page's feedback at full size: all from kept numbers."""

import os
from collections.abc import Callable

from benchmarks.harness import compare
from benchmarks.store import SIZE_VARIABLE, SOUNDS, table, workspace_file
from benchmarks.store_data import EVENTS_PER_SOUND, tag
from core.curation.drift import newest_and_earlier, score_drift
from core.curation.feedback import Feedback
from core.curation.tag_thresholds import learn
from core.events.store import EventStore
from core.events.types import ModelRef
from core.sqlite import Database

ROUNDS = 5
MAX_MS = 2000
"""For all questions of the page together."""
MODEL, LATEST = (ModelRef(name="cnn", version=version) for version in (1, 2))
"""The version that was judged, and the one that predicted each sound last."""
VOCABULARY = tuple(map(tag, range(0, 600, 2)))


def questions(feedback: Feedback) -> dict[str, Callable[[], object]]:
    """Return the questions of the page; the last one asks them all."""

    def drift() -> object:
        newest, earlier, _ = newest_and_earlier(feedback.probabilities(str(MODEL)))
        return score_drift(newest, earlier)

    single: dict[str, Callable[[], object]] = {
        "verdicts by tag": lambda: feedback.by_tag("curator"),
        "verdicts by tag, of one version": lambda: feedback.by_tag("curator", str(MODEL)),
        "verdicts by month": lambda: feedback.over_time("curator"),
        "verdicts by day": lambda: feedback.by_day("curator"),
        "model versions": lambda: feedback.versions("curator"),
        "precision@5": lambda: feedback.best_five("curator"),
        "replacements": lambda: feedback.replacements("curator"),
        "added tags that the model lacks": lambda: feedback.unknown_tags(VOCABULARY, "curator"),
        "agreement with uploaders' tags": lambda: feedback.own_tags(str(LATEST), VOCABULARY),
        "drift of scores": drift,
        "learned thresholds of all tags": lambda: learn(feedback, MODEL, 50),
    }
    return single | {"all of these": lambda: [ask() for ask in single.values()]}


def main() -> None:
    """Print the times of all questions."""
    sounds = int(os.environ.get(SIZE_VARIABLE) or SOUNDS)
    with workspace_file(sounds) as path:
        database = Database(path)
        EventStore(database)
        size = f"{sounds:,} sounds, {EVENTS_PER_SOUND * sounds:,} events"
        table(f"feedback, {size}", compare(questions(Feedback(database)), ROUNDS), MAX_MS)


if __name__ == "__main__":
    main()
