"""The tagging job and the backfill on Modal.

The schedule: `modal deploy -m jobs.modal_tagging`. Once, now: `modal run -m jobs.modal_tagging`.
A range of the past: `modal run --detach -m jobs.modal_tagging::backfill --created-from 2026-01-01
--created-to 2026-02-01`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import modal

from jobs.modal_image import HOURS, MINUTES, freesound_secret, hopsworks_secret, tagging_image

if TYPE_CHECKING:
    from core.pipeline.backfill import Outcome
    from core.pipeline.backfill_worker import BackfillResult, BackfillTask
    from core.settings import Settings
    from core.storage.runs import Run

RunFields = dict[str, object]
app = modal.App("earmark-tagging")


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret(), freesound_secret()],
    # `Period(days=3)` would count anew from every deployment; so each day it is asked what is due.
    schedule=modal.Cron("17 4 * * *"),
    max_containers=1,
    retries=modal.Retries(max_retries=2, initial_delay=60.0, backoff_coefficient=1.0),
    timeout=60 * MINUTES,
    cpu=2.0,
    memory=4096,
)
def tag_recent(now: bool = False) -> RunFields | None:
    """Tag the newest sounds of Freesound if a run is due, or now.

    Returns:
        The record of the run, once the shared folder has all of it; None if nothing was to do.
    """
    from jobs.schedule import notifying
    from jobs.tagging import tag_if_due

    settings = _start()
    with notifying(settings):
        return _fields(tag_if_due(settings, now=now))


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret()],  # for a model that is not the default one; no key of Freesound's
    max_containers=8,  # seven keep up with a credential's 8,400 rows a minute at 0.05 s a sound
    retries=modal.Retries(max_retries=2, initial_delay=10.0, backoff_coefficient=2.0),
    timeout=20 * MINUTES,
    cpu=1.0,
    memory=2048,
)
def analyse_batch(task: str) -> "list[BackfillResult]":
    """Fetch the previews of a batch and analyse them; `task` is a `BackfillTask` as JSON."""
    from core.pipeline.backfill_worker import BackfillTask, analyse_task

    return analyse_task(BackfillTask.from_json(task), _start())


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret(), freesound_secret()],
    max_containers=1,  # this container alone spends the request budget
    retries=modal.Retries(max_retries=2, initial_delay=60.0, backoff_coefficient=1.0),
    timeout=24 * HOURS,
    cpu=1.0,
    memory=2048,
)
def backfill(
    created_from: str = "",
    created_to: str = "",
    first_id: int = 0,
    last_id: int = 0,
    batch: int = 50,
) -> RunFields | None:
    """Tag a range of Freesound, by dates or by ids.

    Returns:
        The record of the run, once the shared folder has all of it; None if nothing is new.
    """
    from core.pipeline.freesound_range import parse_range
    from jobs.backfill import run_backfill
    from jobs.schedule import notifying

    settings = _start()
    created = (created_from, created_to) if created_from or created_to else None
    freesound_range = parse_range(created, (first_id, last_id) if first_id else None)
    with notifying(settings):
        return _fields(run_backfill(settings, freesound_range, _to_containers, batch_size=batch))


@app.local_entrypoint()
def main() -> None:
    """Tag the newest sounds now, whether a run is due or not."""
    print(tag_recent.remote(now=True) or "Nothing new.")


def _to_containers(tasks: "Sequence[BackfillTask]") -> "Iterable[Outcome]":
    """Hand tasks to containers of their own."""
    texts = [task.to_json() for task in tasks]
    return analyse_batch.map(texts, order_outputs=False, return_exceptions=True)


def _start() -> "Settings":
    """Read the settings in a container, and set up its log."""
    from core.logging import configure
    from core.settings import read_settings

    settings = read_settings()
    configure(settings.log_level, settings.secrets)
    return settings


def _fields(run: "Run | None") -> RunFields | None:
    """Return a run's record as plain values, which every client can read."""
    from core.storage.runs import run_to_json

    if run is None:
        return None
    fields: RunFields = json.loads(run_to_json(run))
    return fields
