"""A server with many people on it: who reviews, who tries clips; time, errors, losses, memory.

One process serves the app; this one plays the browsers, on the same cores.
"""

import hashlib
import os
import random
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.app_client import Page, Person
from benchmarks.browser import server, tag_clips
from benchmarks.freesound_stand_in import SECRET, stand_in
from benchmarks.memory import megabytes
from core.errors import EarmarkError
from core.storage.local import open_local_workspace

SECONDS = float(os.environ.get("BENCH_LOAD_SECONDS", "120"))
REVIEWERS = int(os.environ.get("BENCH_LOAD_REVIEWERS", "50"))
VISITORS = int(os.environ.get("BENCH_LOAD_VISITORS", "20"))
UPLOADS = int(os.environ.get("BENCH_LOAD_UPLOADS", "100"))
SOUNDS = 200
ORDERS = ("newest", "most-uncertain", "most-informative", "most-disputed")
"""In which people go through the sounds, so that not all of them decide about the same one."""
THINK_S = (2.0, 6.0)
"""Between two decisions of a reviewer."""
LISTEN_S = (5.0, 15.0)
"""Between two clips of a visitor."""
SAVES_ON_A_PAGE = 10
WARM_UP_UPLOADS = 20


@dataclass
class Measured:
    """Seconds by what was done, the ids of saved actions, and what went wrong."""

    times: dict[str, list[float]] = field(default_factory=dict)
    saved: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    conflicts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Measure what is done."""
        start = time.perf_counter()
        yield
        with self.lock:
            self.times.setdefault(name, []).append(time.perf_counter() - start)

    def note(self, page: Page) -> None:
        """Take over what a page has shown that is wrong."""
        with self.lock:
            self.problems += page.problems
            page.problems.clear()


def main() -> None:
    """Print the tables.

    Raises:
        EarmarkError: A save was lost, or an error was shown.
    """
    os.environ |= {
        "EARMARK_CURATORS": ",".join(str(number + 1) for number in range(REVIEWERS)),
        "EARMARK_VISITOR_UPLOADS_AN_HOUR": "1000000",
        "FREESOUND_API_KEY": SECRET,
        "EARMARK_FREESOUND_CLIENT_ID": "benchmark",
    }
    with tempfile.TemporaryDirectory() as folder, stand_in() as api:
        os.environ["EARMARK_FREESOUND_API"] = api
        os.environ["EARMARK_FREESOUND_REQUESTS_FILE"] = f"{folder}/requests.sqlite"
        workspace = Path(folder) / "workspace"
        tag_clips(workspace, SOUNDS)
        with server(workspace) as (url, process_id):
            measured = _crowd(url)
            memory = _uploads(url, process_id, measured)
        lost = _lost(workspace, measured)
    _report(measured, memory, lost)
    if lost or measured.problems:
        text = "; ".join(sorted(set(measured.problems))[:5])
        raise EarmarkError(f"{lost} saves were lost, {len(measured.problems)} errors: {text}")


def _crowd(url: str) -> Measured:
    """Let all people work at once until the time is over."""
    measured = Measured()
    people = [_signed_in(url, number + 1) for number in range(REVIEWERS)]
    visitors = [Person(url) for _ in range(VISITORS)]
    end = time.monotonic() + SECONDS
    work = [(_review, person) for person in people] + [
        (_try_clips, visitor) for visitor in visitors
    ]
    threads = [
        threading.Thread(target=_guarded, args=(act, person, measured, end, seed), daemon=True)
        for seed, (act, person) in enumerate(work)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return measured


def _signed_in(url: str, number: int) -> Person:
    person = Person(url)
    person.sign_in(f"person-{number}")
    return person


Act = Callable[[Person, Measured, float, random.Random], None]


def _guarded(act: Act, person: Person, measured: Measured, end: float, seed: int) -> None:
    """Act; what fails is a problem of the server, and is counted."""
    try:
        act(person, measured, end, random.Random(seed))
    except Exception as error:
        with measured.lock:
            measured.problems.append(f"{type(error).__name__}: {error}")


def _review(person: Person, measured: Measured, end: float, chance: random.Random) -> None:
    """Open review mode, and decide about one sound after the other; a new page now and then."""
    time.sleep(chance.uniform(0, THINK_S[1]))  # people do not come at the same moment
    while time.monotonic() < end:
        with measured.timing("page: review mode"):
            page = Page(person, query=f"mode=review&order={chance.choice(ORDERS)}")
        with page:
            for _ in range(SAVES_ON_A_PAGE):
                time.sleep(chance.uniform(*THINK_S))
                if time.monotonic() > end or not _save(page, measured, chance):
                    break
            measured.note(page)


def _save(page: Page, measured: Measured, chance: random.Random) -> bool:
    """Confirm a sound; returns False where there is none left on the page."""
    sounds = page.components["desk"].data["sounds"]
    if not sounds:
        return False
    sound = chance.choice(sounds)
    answer = _decide(page, sound, measured)
    if answer["state"] == "conflict":  # somebody was quicker: the person sees it, and decides again
        measured.conflicts += 1
        answer = _decide(page, {**sound, **answer.get("sound", {})}, measured)
    if answer["state"] == "failed":
        measured.problems.append(f"not saved: {answer['sentence']}")
    return True


def _decide(page: Page, sound: Mapping[str, Any], measured: Measured) -> Mapping[str, Any]:
    """Confirm a sound as the page shows it; returns the answer."""
    action = uuid.uuid4().hex
    decision = {"id": action, "sound": sound["id"], "kind": "confirm", "tags": sound["tags"]}
    decision |= {"base": sound["version"], "after": None, "target": None}

    def answers() -> Mapping[str, Any]:
        answers: Mapping[str, Any] = page.components["desk"].data["answers"]
        return answers

    with measured.timing("save"):
        request = {"at": sound["id"], "actions": [decision]}
        page.send_to("desk", {"request": request}, lambda: action in answers())
    answer: Mapping[str, Any] = answers()[action]
    if answer["state"] == "saved":
        measured.saved.append(action)
    return answer


def _try_clips(person: Person, measured: Measured, end: float, chance: random.Random) -> None:
    """Upload one clip after the other."""
    clips = harness.clips(SOUNDS)
    time.sleep(chance.uniform(0, LISTEN_S[0]))
    with measured.timing("page: try your sound"):
        page = Page(person, "try")
    with page:
        while time.monotonic() < end:
            _try(page, chance.choice(clips), measured)
            measured.note(page)
            time.sleep(chance.uniform(*LISTEN_S))


def _try(page: Page, clip: Path, measured: Measured) -> None:
    with measured.timing("clip: upload to tags"):
        page.upload(f"{uuid.uuid4().hex}{clip.suffix}", clip.read_bytes(), "audio/ogg")
    if "player" not in page.components:
        page.problems.append("a clip was not analysed")


def _uploads(url: str, process_id: int, measured: Measured) -> list[float]:
    """Upload clips one after the other; returns the server's memory after each, in MB."""
    memory, clips = [], harness.clips(SOUNDS)
    with Page(Person(url), "try") as page:
        for number in range(UPLOADS):
            _try(page, clips[number % len(clips)], Measured())
            memory.append(megabytes(process_id)[0])
        measured.note(page)
    return memory


def _lost(workspace: Path, measured: Measured) -> int:
    """Return how many acknowledged saves are not in the log."""
    kept = {event.event_id for event in open_local_workspace(workspace).events.all()}
    ids = [hashlib.sha256(f"desk:{action}".encode()).hexdigest()[:32] for action in measured.saved]
    return sum(event_id not in kept for event_id in ids)


def _report(measured: Measured, memory: list[float], lost: int) -> None:
    rows = []
    for name, seconds in sorted(measured.times.items()):
        middle, high = np.percentile([1000 * each for each in seconds], [50, 95])
        rows.append((name, f"{len(seconds):,}", f"{middle:,.0f}", f"{high:,.0f}"))
    title = f"{REVIEWERS} people reviewing, {VISITORS} trying clips, {SECONDS:g} s"
    harness.print_table(title, ("", "number", "median, ms", "95th percentile, ms"), rows)
    harness.print_text(
        f"{len(measured.saved):,} saves acknowledged, {lost} of them lost; "
        f"{measured.conflicts:,} times somebody else was quicker."
    )
    harness.print_text(f"{len(measured.problems)} errors shown.")
    if len(memory) > WARM_UP_UPLOADS:
        first, last = memory[WARM_UP_UPLOADS], memory[-1]
        harness.print_text(
            f"Memory of the server, RSS: {first:.0f} MB after {WARM_UP_UPLOADS} more uploads, "
            f"{last:.0f} MB after {len(memory)}, {max(memory):.0f} MB at most."
        )


if __name__ == "__main__":
    try:
        main()
    except EarmarkError as error:
        sys.exit(str(error))
