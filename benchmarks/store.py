"""The event store at full size: views, filters, counts and saves."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from typing import get_args

from benchmarks import store_writers
from benchmarks.harness import Timing, compare, print_table
from benchmarks.store_data import EVENTS_PER_SOUND, LICENSES, fill, tag, uploader, word
from core.events.fold import ReviewState, confirm
from core.events.query import LAST_PAGE, Agreement, Order, Query
from core.events.sounds import SoundIndex
from core.events.store import EventStore
from core.sqlite import Database

SIZE_VARIABLE, FOLDER_VARIABLE = "BENCH_STORE_SOUNDS", "BENCH_STORE_FOLDER"
WRITERS_VARIABLE = "BENCH_STORE_WRITERS"
SOUNDS, PAGE_SIZE, ROUNDS = 100_000, 20, 7
MAX_VIEW_MS, MAX_SAVE_MS = 100, 20

QUERIES: dict[str, Query] = {
    **{f"state {show}": Query(show) for show in get_args(ReviewState)},
    "frequent tag": Query(tag=tag(0)),
    "rare tag": Query(tag=tag(599)),
    "probability of the best .3 to .6": Query(min_probability=0.3, max_probability=0.6),
    "probability of a tag .3 to .6": Query(tag=tag(0), min_probability=0.3, max_probability=0.6),
    **{f"agreement {kind}": Query(agreement=kind) for kind in get_args(Agreement)},
    "license": Query(license=LICENSES[1]),
    "frequent uploader": Query(uploader=uploader(0)),
    "rare uploader": Query(uploader=uploader(19_000)),
    "since and until": Query(since=date(2022, 1, 1), until=date(2022, 3, 1)),
    "run": Query(run=f"{'f' * 24}{7:08x}"),
    "explicit": Query(explicit=True),
    "text, a frequent word": Query(text=word(0)),
    "text, two words": Query(text=f"{word(10)} {word(20)}"),
    "text, the beginning of a word": Query(text="ba"),
    "five filters": Query(
        "to review",
        tag(1),
        agreement="no uploader tags",
        license=LICENSES[0],
        since=date(2022, 1, 1),
    ),
}


def pages(index: SoundIndex) -> dict[str, Callable[[], object]]:
    """Return the work of showing the first and last page of every order and filter."""

    page = partial(index.page, size=PAGE_SIZE)
    work: dict[str, Callable[[], object]] = {}
    for place, cursor in (("first", ""), ("last", LAST_PAGE)):
        for order in get_args(Order):
            work[f"{order}, {place} page"] = partial(page, Query(), order=order, cursor=cursor)
        for name, query in QUERIES.items():
            work[f"{name}, {place} page"] = partial(page, query, cursor=cursor)
    for order in get_args(Order)[1:]:
        work[f"to review, {order}"] = partial(page, Query("to review"), order=order)
    return work


def counts(index: SoundIndex) -> dict[str, Callable[[], object]]:
    """Return the work of counting."""
    work: dict[str, Callable[[], object]] = {
        "counts": index.counts,
        "tag list": index.tag_counts,
        "decisions by tag": index.verdict_counts,
        "counts of every filter": lambda: index.facets(Query()),
        "the same with five filters": lambda: index.facets(QUERIES["five filters"]),
        "three examples of a tag": lambda: index.with_tag(tag(0)),
    }
    for name, query in QUERIES.items():
        work[f"count: {name}"] = partial(index.count, query)
    return work


def saves(store: EventStore, index: SoundIndex, sounds: int) -> Callable[[], object]:
    """Return the work of saving one review: of another sound every time."""
    numbers = count(1)

    def save() -> None:
        sound_id = f"freesound:{1 + next(numbers) * 7919 % sounds}"
        state = index.get(sound_id)
        assert state is not None
        store.append([confirm(state, [*state.tags[:2], "saved"], "ada")])

    return save


@contextmanager
def workspace_file(sounds: int) -> Iterator[Path]:
    """Give the file of a workspace with so many sounds; it is kept in the folder that is named."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(os.environ.get(FOLDER_VARIABLE) or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"store-{sounds}.sqlite"
        if not path.exists():
            fill(path, sounds)
        yield path


def table(title: str, timings: dict[str, Timing], limit: float) -> None:
    """Print the times, the slowest first."""
    rows = [
        (name, str(timing), timing.spread, "" if timing.median <= limit else "over")
        for name, timing in sorted(timings.items(), key=lambda item: -item[1].median)
    ]
    print_table(f"{title}; the bar is {limit} ms", ("", "median, ms", "quartiles", ""), rows)


def main() -> None:
    """Print the times of all views and of a save, or of many writers."""
    if writers := int(os.environ.get(WRITERS_VARIABLE) or 0):
        store_writers.main(writers)
        return
    sounds = int(os.environ.get(SIZE_VARIABLE) or SOUNDS)
    with workspace_file(sounds) as path:
        database = Database(path)
        store, index = EventStore(database), SoundIndex(database)
        megabytes = path.stat().st_size / 1e6
        size = f"{sounds:,} sounds, {EVENTS_PER_SOUND * sounds:,} events, {megabytes:,.0f} MB"
        table(f"store: pages of {PAGE_SIZE}, {size}", compare(pages(index), ROUNDS), MAX_VIEW_MS)
        table(f"store: counts, {size}", compare(counts(index), ROUNDS), MAX_VIEW_MS)
        save = {"one review": saves(store, index, sounds)}
        table(f"store: saves, {size}", compare(save, 50), MAX_SAVE_MS)


if __name__ == "__main__":
    main()
