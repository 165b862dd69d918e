"""The tagging job on Modal: `modal deploy -m jobs.tagging` for the schedule, `modal run -m jobs.tagging` for now."""

from dataclasses import asdict
from typing import Any

import modal

from jobs.modal_image import MINUTES, freesound_secret, hopsworks_secret, tagging_image

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


@app.local_entrypoint()
def now() -> None:
    """Tag the newest sounds now, whether a run is due or not."""
    print(tag_recent.remote(at_once=True) or "Nothing new.")
