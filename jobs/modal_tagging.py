"""The tagging job on Modal: `modal deploy -m jobs.tagging` for the schedule, `modal run -m jobs.tagging` for now.

A range of the past: `modal run --detach -m jobs.modal_tagging::backfill --created-from 2026-01-01 --created-to 2026-02-01`.
"""

from dataclasses import asdict
from typing import Any

import modal

from jobs.modal_image import HOURS, MINUTES, freesound_secret, hopsworks_secret, tagging_image

app = modal.App("earmark-tagging")


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret(), freesound_secret()],
    # `Period(days=3)` would begin to count anew at every deployment; so it looks every day whether a run is due.
    schedule=modal.Cron("17 4 * * *"),
    max_containers=1,
    retries=modal.Retries(max_retries=2, initial_delay=60.0, backoff_coefficient=1.0),
    timeout=60 * MINUTES,
    cpu=2.0,
    memory=4096,
)
def tag_recent(at_once: bool = False) -> dict[str, Any] | None:
    """Tag the newest sounds of Freesound if a run is due, or at once; returns the run's record when all of it is in the shared home."""
    from core.settings import settings
    from jobs.tagging import tag_if_due

    run = tag_if_due(settings(), at_once)
    return None if run is None else asdict(run) | {"model": run.model.model_dump(mode="json")}


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret()],  # for a model that is not the starter; no key of Freesound's
    max_containers=8,  # seven keep up with 8,400 sounds a minute, the most that one credential lists, at 0.05 s each
    retries=modal.Retries(max_retries=2, initial_delay=10.0, backoff_coefficient=2.0),
    timeout=20 * MINUTES,
    cpu=1.0,
    memory=2048,
)
def hear_batch(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Fetch the previews of a batch and listen to them."""
    from jobs.backfill import hear

    return hear(task)


@app.function(
    image=tagging_image(),
    secrets=[hopsworks_secret(), freesound_secret()],
    max_containers=1,  # the one that spends the API's budget
    retries=modal.Retries(max_retries=2, initial_delay=60.0, backoff_coefficient=1.0),
    timeout=24 * HOURS,
    cpu=1.0,
    memory=2048,
)
def backfill(created_from: str = "", created_to: str = "", first_id: int = 0, last_id: int = 0, batch: int = 50) -> dict[str, Any] | None:
    """Tag a range of Freesound by dates or by ids; returns the run's record when all of it is in the shared home."""
    from core.settings import settings
    from jobs.backfill import run, span_of

    span = span_of((created_from, created_to) if created_from or created_to else None, (first_id, last_id) if first_id else None)
    done = run(settings(), span, lambda tasks: hear_batch.map(tasks, order_outputs=False, return_exceptions=True), batch=batch)
    return None if done is None else asdict(done) | {"model": done.model.model_dump(mode="json")}


@app.local_entrypoint()
def now() -> None:
    """Tag the newest sounds now, whether a run is due or not."""
    print(tag_recent.remote(at_once=True) or "Nothing new.")
