"""A scripted curator reviews real sounds: key presses, clicks and seconds per sound.

In review mode with the keyboard, in the list with the mouse, and, where BENCH_BEFORE names the
folder of an earlier version's source, in that version's list; each time a workspace with the same
sounds. The script knows which tags each sound should have and does not think: what is measured is
the page.
"""

import csv
import hashlib
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import harness
from benchmarks.browser import VIEWPORT, chromium, server, tag_clips
from core.errors import EarmarkError
from core.events.fold import SoundState
from core.events.query import Query
from core.storage.local import open_local_workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOUNDS = 50
TIMEOUT_MS = 60_000
MAX_NUMBERED = 9
NOTE_PRESSES = """
window.presses = []
addEventListener("keydown", event => {
  if (event.key !== "Enter") return
  const press = { at: performance.now(), audio: window.earmarkPlaying?.audio }
  const look = () => {
    const audio = window.earmarkPlaying?.audio
    if (audio && audio !== press.audio && audio.currentTime > 0) {
      window.presses.push(performance.now() - press.at)
    } else if (performance.now() - press.at < 5000) requestAnimationFrame(look)
  }
  look()
}, true)
"""
"""Runs in the page before its own scripts: notes the milliseconds from a press that goes on to the
next sound until that one plays."""


@dataclass(frozen=True)
class Effort:
    """The work on one sound: keys, clicks, and seconds until the next one could begin."""

    keys: int
    clicks: int
    seconds: float


@dataclass(frozen=True)
class Way:
    """A way to review: its `name`, the page's address, what is done with each sound.

    `program` is the folder of the source that serves the page.
    """

    name: str
    path: str
    review: "Review"
    program: Path = harness.ROOT


def main(limit: int) -> None:
    """Review `limit` sounds in each way and print a table."""
    os.environ["EARMARK_CURATOR"] = "Bench"
    os.environ["EARMARK_PAGE_SIZE"] = str(limit)
    with tempfile.TemporaryDirectory() as folder:
        rows = [_row(way, Path(folder) / str(number), limit) for number, way in enumerate(_ways())]
    title = f"A scripted curator reviews {limit} sounds; a sound's mean presses, median seconds"
    columns = ("", "keys", "clicks", "s per sound", "slowest 10%", "ms to hear the next")
    harness.print_table(title, columns, rows)


def _row(way: Way, folder: Path, limit: int) -> tuple[str, ...]:
    """Review all sounds in one way; returns a row of the table."""
    folder.mkdir()
    workspace = folder / "workspace"
    tag_clips(workspace, limit, way.program)
    sounds = _read(workspace)
    truth = _truth(sounds)
    efforts, latencies = _run(way, workspace, sounds, truth)
    _check(workspace, truth)
    latency = f"{statistics.median(latencies):.0f}" if latencies else ""
    return way.name, *_summary(efforts), latency


def _read(workspace: Path) -> list[SoundState]:
    """Return the sounds of a workspace, newest first, and leave it as it is for its own version."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(workspace, copy)
        return list(open_local_workspace(copy).sounds.page(Query(), size=10_000).sounds)


def _truth(sounds: Sequence[SoundState]) -> dict[str, tuple[str, ...]]:
    """Return the tags that each sound should have, by its id."""
    labels = _labels(harness.clip_folder().parent / "clips.csv")
    names = {
        f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}": path.name
        for path in harness.clips(len(sounds))
    }
    return {
        sound.sound_id: labels.get(names.get(sound.sound_id, ""), sound.tags) for sound in sounds
    }


def _labels(table: Path) -> dict[str, tuple[str, ...]]:
    """Return the tags by file name; none where the sounds are the examples."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {Path(row["file"]).name: tuple(row["tags"].split()) for row in csv.DictReader(file)}


Review = Callable[["Page", SoundState, Sequence[str]], tuple[int, int]]


def _run(
    way: Way,
    workspace: Path,
    sounds: Sequence[SoundState],
    truth: Mapping[str, Sequence[str]],
) -> tuple[list[Effort], list[float]]:
    """Review every sound of a workspace, the newest first.

    Returns:
        The work on each sound, and the milliseconds from each Enter until the next sound plays.
    """
    width, height = VIEWPORT
    with server(workspace, way.program) as (url, _), chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(NOTE_PRESSES)
        page.goto(url + way.path)
        page.get_by_text(sounds[0].sound.title, exact=True).first.wait_for()
        efforts = []
        for sound in sounds:
            started = time.perf_counter()
            keys, clicks = way.review(page, sound, truth[sound.sound_id])
            efforts.append(Effort(keys, clicks, time.perf_counter() - started))
        _wait_until_saved(page)
        latencies = [float(milliseconds) for milliseconds in page.evaluate("window.presses")]
    return efforts, latencies


def _wait_until_saved(page: "Page") -> None:
    """Wait for the answers to the last decisions; the list has waited for each."""
    pending = page.locator(".desk .pending")
    if pending.count():
        pending.wait_for(state="hidden")


def _review_by_key(page: "Page", sound: SoundState, tags: Sequence[str]) -> tuple[int, int]:
    """Review a sound in review mode; returns presses and clicks."""
    title = page.locator(".desk .title")
    title.filter(has_text=sound.sound.title).wait_for()
    numbers = {row.tag: number for number, row in enumerate(sound.suggestions[:MAX_NUMBERED], 1)}
    wrong, missing = _differences(sound, tags)
    keys = [str(numbers[tag]) for tag in [*wrong, *missing] if tag in numbers]
    for tag in missing:
        if tag not in numbers:
            keys += ["t", *tag, ",", "Escape"]
    keys.append("Enter")
    for key in keys:
        page.keyboard.press(key)
    return len(keys), 0


def _review_in_list(
    page: "Page", sound: SoundState, tags: Sequence[str], button: str = "confirm"
) -> tuple[int, int]:
    """Review a sound in the list; returns presses and clicks."""
    key = sound.sound_id.replace(":", "-")
    card = page.locator(f".st-key-sound-{key}")
    wrong, missing = _differences(sound, tags)
    keys = clicks = 0
    for tag in wrong:
        card.get_by_role("button", name=re.compile(f"^Remove {re.escape(tag)}( from|$)")).click()
        clicks += 1
    for tag in missing:
        guess = card.locator(".guess").filter(has_text=re.compile(rf"^\W*{re.escape(tag)} "))
        if guess.count():
            guess.first.click()
            clicks += 1
            continue
        card.locator("input[role=combobox]").first.click()
        page.keyboard.type(f"{tag},")
        clicks, keys = clicks + 1, keys + len(tag) + 1
    page.locator(f".st-key-{button}-{key} button:visible").click()
    page.locator(f".st-key-note-{key}").get_by_text("Saved").wait_for()
    return keys, clicks + 1


def _review_in_first_list(page: "Page", sound: SoundState, tags: Sequence[str]) -> tuple[int, int]:
    """Review a sound in the list of the first version, where confirming was called accepting."""
    return _review_in_list(page, sound, tags, "accept")


def _differences(sound: SoundState, tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tags to take from a sound and to give it."""
    wrong = [tag for tag in sound.tags if tag not in tags]
    return wrong, [tag for tag in tags if tag not in sound.tags]


def _check(workspace: Path, truth: Mapping[str, Sequence[str]]) -> None:
    """Check that every sound has the right tags now.

    Raises:
        EarmarkError: One has not.
    """
    states = open_local_workspace(workspace).sounds.get_many(list(truth))
    wrong = [
        state.sound.title
        for sound_id, state in states.items()
        if not state.reviewed or set(state.tags) != set(truth[sound_id])
    ]
    if wrong:
        raise EarmarkError(f"{len(wrong)} sounds were not saved rightly, such as {wrong[0]}.")


def _summary(efforts: Sequence[Effort]) -> tuple[str, str, str, str]:
    seconds = sorted(effort.seconds for effort in efforts)
    slowest = seconds[int(0.9 * (len(seconds) - 1)) :]
    return (
        f"{statistics.mean(effort.keys for effort in efforts):.1f}",
        f"{statistics.mean(effort.clicks for effort in efforts):.1f}",
        f"{statistics.median(seconds):.2f}",
        f"{statistics.mean(slowest):.2f}",
    )


def _ways() -> list[Way]:
    """Return the ways that are compared."""
    ways = [
        Way("review mode, keyboard", "/?mode=review", _review_by_key),
        Way("list, mouse", "/?mode=list", _review_in_list),
    ]
    before = os.environ.get("BENCH_BEFORE")
    if before:
        ways.append(Way("earlier version's list, mouse", "/", _review_in_first_list, Path(before)))
    return ways


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SOUNDS)
