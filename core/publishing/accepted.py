"""Keeping a sound that Freesound has accepted: media, sidecar and events."""

from core.events.fold import confirm, fold
from core.events.types import Event, Published, Sound, new_event
from core.freesound.types import Description, FreesoundSound
from core.freesound.vocabulary import own_page
from core.pipeline.analysis import Analysis, published_as, save_analysis
from core.pipeline.sources import FREESOUND
from core.publishing.category import category
from core.publishing.form import LICENSES
from core.publishing.upload_log import Upload
from core.storage.workspace import Workspace
from core.tags import freesound_tags


def events_of_accepted(
    upload: Upload,
    description: Description,
    analysis: Analysis,
    stored: FreesoundSound | None,
    workspace: Workspace,
    api: str,
) -> tuple[Event, ...]:
    """Write media and sidecar of an accepted sound into the workspace.

    Args:
        upload: The upload, with the sound's id.
        description: The form that was sent.
        analysis: Of the file.
        stored: The sound as Freesound shows it, where it does already.
        workspace: Where the sound is kept.
        api: Address of the API, for the sound's own page.

    Returns:
        The *predicted* and *published* events, which the caller appends.

    Raises:
        StorageError: Something could not be written.
    """
    actor, sound_id = upload.uploader.actor, f"freesound:{upload.sound_id}"
    sent = tuple(freesound_tags(" ".join(description.tags)))
    tags = tuple(stored.tags) if stored and stored.tags else sent
    sound = _sound(upload, description, analysis, stored, tags, api)
    history = workspace.events.of_sound(sound_id)
    base = history[-1] if history else None
    analysis = published_as(analysis, sound_id, sound)
    predicted = save_analysis(workspace, analysis, actor, base)
    published = Published(
        decisions=confirm(fold([predicted]), sent, actor).payload.decisions,
        basis=predicted.event_id,
        tags=tags,
    )
    return predicted, new_event(published, sound_id, actor, predicted)


def _sound(
    upload: Upload,
    description: Description,
    analysis: Analysis,
    stored: FreesoundSound | None,
    tags: tuple[str, ...],
    api: str,
) -> Sound:
    """Return the metadata that the sound was published with, and the facts of its decoding."""
    return Sound(
        title=upload.title,
        source=FREESOUND,
        seconds=analysis.sound.seconds,
        container=analysis.sound.container,
        rate=analysis.sound.rate,
        channels=analysis.sound.channels,
        author=upload.username,
        license=LICENSES[description.license].deed,
        description=description.description,
        url=own_page(stored.url, api) if stored else "",
        created=stored.created if stored else "",
        tags=tags,
        category=category(description.bst_category).label,
        note=analysis.sound.note,
        is_explicit=description.is_explicit,
        pack=description.pack,
        geotag=stored.geotag if stored else "",
    )
