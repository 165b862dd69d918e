"""A scripted curator reviews real sounds: key presses, clicks and seconds per sound.

Once in review mode with the keyboard, once in the list with the mouse; each time a workspace with
the same sounds. The script knows which tags each sound should have and does not think: what is
measured is the page.
"""

import csv
import hashlib
import os
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
from benchmarks.memory import BROWSER_FLAGS, BROWSERS, server
from core.errors import EarmarkError
from core.events.fold import SoundState
from core.events.query import Query
from core.model.predictor import Predictor
from core.pipeline.sources import FolderSource
from core.pipeline.tagging import tag_new_sounds
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace

if TYPE_CHECKING:
    from playwright.sync_api import Page

SOUNDS = 50
TIMEOUT_MS = 60_000
VIEWPORT = (1440, 900)
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


def main(limit: int) -> None:
    """Review `limit` sounds in both ways and print a table."""
    os.environ["EARMARK_CURATOR"] = "Bench"
    os.environ["EARMARK_PAGE_SIZE"] = str(limit)
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "workspace"
        truth = _tagged(original, limit)
        rows = []
        for name, path, review in WAYS:
            workspace = Path(folder) / name.split(",")[0].replace(" ", "-")
            shutil.copytree(original, workspace)
            efforts, latencies = _run(workspace, path, review, truth)
            rows.append(
                (
                    name,
                    *_summary(efforts),
                    f"{statistics.median(latencies):.0f}" if latencies else "",
                )
            )
            _check(workspace, truth)
    title = f"A scripted curator reviews {limit} sounds; medians, and the slowest tenth"
    columns = ("", "keys", "clicks", "s per sound", "slowest 10%", "ms to hear the next")
    harness.print_table(title, columns, rows)


def _tagged(folder: Path, limit: int) -> dict[str, tuple[str, ...]]:
    """Tag sounds in a new workspace; returns the tags that each should have, by sound id."""
    paths = harness.clips(limit)
    source = folder.parent / "sounds"
    source.mkdir()
    for path in paths:
        shutil.copy(path, source)
    workspace = open_local_workspace(folder)
    model = resolve_model(workspace).model
    tag_new_sounds(FolderSource(source), Predictor.from_folder(), workspace, model=model)
    labels = _labels(harness.clip_folder().parent / "clips.csv")
    states = {state.sound_id: state for state in workspace.sounds.all()}
    truth = {}
    for path in paths:
        sound_id = f"file:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        if sound_id in states:
            truth[sound_id] = labels.get(path.name, states[sound_id].tags)
    return truth


def _labels(table: Path) -> dict[str, tuple[str, ...]]:
    """Return the tags by file name; none where the sounds are the examples."""
    if not table.is_file():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        return {Path(row["file"]).name: tuple(row["tags"].split()) for row in csv.DictReader(file)}


Review = Callable[["Page", SoundState, Sequence[str]], tuple[int, int]]


def _run(
    workspace: Path, path: str, review: Review, truth: Mapping[str, Sequence[str]]
) -> tuple[list[Effort], list[float]]:
    """Review every sound of a workspace, the newest first.

    Returns:
        The work on each sound, and the milliseconds from each Enter until the next sound plays.
    """
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        raise EarmarkError("This benchmark needs Chromium.")
    sounds = open_local_workspace(workspace).sounds.page(Query(), size=len(truth)).sounds
    width, height = VIEWPORT
    with server(workspace) as (url, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[*BROWSER_FLAGS, "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(TIMEOUT_MS)
        page.add_init_script(NOTE_PRESSES)
        page.goto(url + path)
        page.get_by_role("heading", name=sounds[0].sound.title, exact=True).first.wait_for()
        efforts = []
        for sound in sounds:
            started = time.perf_counter()
            keys, clicks = review(page, sound, truth[sound.sound_id])
            efforts.append(Effort(keys, clicks, time.perf_counter() - started))
        _wait_until_saved(page)
        latencies = [float(milliseconds) for milliseconds in page.evaluate("window.presses")]
        browser.close()
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


def _review_in_list(page: "Page", sound: SoundState, tags: Sequence[str]) -> tuple[int, int]:
    """Review a sound in the list; returns presses and clicks."""
    key = sound.sound_id.replace(":", "-")
    card = page.locator(f".st-key-sound-{key}")
    wrong, missing = _differences(sound, tags)
    keys = clicks = 0
    for tag in wrong:
        card.get_by_role("button", name=f"Remove {tag} ").click()
        clicks += 1
    for tag in missing:
        guess = card.locator(".guess").filter(has_text=f"{tag} ")
        if guess.count():
            guess.first.click()
            clicks += 1
            continue
        card.get_by_role("combobox", name="Tags of ").click()
        page.keyboard.type(f"{tag},")
        clicks, keys = clicks + 1, keys + len(tag) + 1
    page.locator(f".st-key-confirm-{key} button:visible").click()
    page.locator(f".st-key-note-{key}").get_by_text("Saved").wait_for()
    return keys, clicks + 1


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
        f"{statistics.median(effort.keys for effort in efforts):.0f}",
        f"{statistics.median(effort.clicks for effort in efforts):.0f}",
        f"{statistics.median(seconds):.2f}",
        f"{statistics.mean(slowest):.2f}",
    )


WAYS: tuple[tuple[str, str, Review], ...] = (
    ("review mode, keyboard", "/?mode=review", _review_by_key),
    ("list, mouse", "/?mode=list", _review_in_list),
)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SOUNDS)
