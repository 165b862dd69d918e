"""Publishing a sound on Freesound so that, whatever happens on the way, it is there once and Earmark knows it.

Before the bytes go out an intent is written down; afterwards it is settled. An upload is never sent again before Freesound has been
asked what became of the last one: an answer may be lost although the sound is there, and an error may leave half a sound behind.
"""

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from pydantic import SecretStr

from core import tagging
from core.errors import EarmarkError
from core.freesound.budget import DailyLimitReached
from core.freesound.client import (
    DailyThrottled,
    FreesoundClient,
    FreesoundError,
    FreesoundSound,
    NotThere,
    PendingUploads,
    Refused,
    Throttled,
    UploadUncertain,
)
from core.freesound.form import LICENSES, UploadForm, explain
from core.freesound.publications import SITE, BeingPublished, Publication, Publications
from core.freesound.taxonomy import category
from core.freesound.terms import own_page
from core.id2prediction import Event, ModelRef, Published, Sound, Suggestion, fold, new_event, review
from core.people import Person
from core.tags import freesound_tags
from core.workspace import Workspace

Result = TypeVar("Result")
Progress = Callable[[str, float], None]
"""Hears the stage, in words, and the share of the bytes that are out."""

SENDING_TAKES_S = 900
"""After this, whoever was sending is not any more."""
CERTAIN_AFTER_S = 90
"""Freesound lists an upload within moments. What is not there so long after sending did not arrive."""
DUPLICATE = "already part of freesound"
MOST_LOOKED_UP = 20
"""Public sounds of a person that are asked for one by one: requests are counted."""


class WithToken(Protocol):
    """Calls with somebody's access token, refreshed where needed: `SignIns.with_token` for one browser."""

    def __call__(self, call: Callable[[SecretStr], Result]) -> Result: ...


@dataclass(frozen=True)
class Heard:
    """What Earmark heard in the sound, and what it keeps of it: `ogg` to play, `webp` to see, `arrays` for the sidecar."""

    model: ModelRef
    top: tuple[Suggestion, ...]
    seconds: float
    container: str
    rate: int
    channels: int
    ogg: bytes
    webp: bytes
    arrays: Mapping[str, np.ndarray]

    def facts(self) -> dict[str, Any]:
        """What `Sound` knows of the file."""
        return {"seconds": round(self.seconds, 3), "container": self.container, "rate": self.rate, "channels": self.channels}


class Publisher:
    """Publishes into `workspace`, with its record in `folder`; `clock` gives seconds since the epoch."""

    def __init__(self, folder: Path, client: FreesoundClient, workspace: Workspace, clock: Callable[[], float] = time.time) -> None:
        self._client, self._workspace = client, workspace
        self._record = Publications(folder, clock)

    def publish(
        self,
        person: Person,
        with_token: WithToken,
        form: UploadForm,
        data: bytes,
        heard: Heard,
        progress: Progress = lambda stage, share: None,
    ) -> Publication:
        """Send `data` with the checked `form`, once; returns what became of it.

        Raises `FormError` before anything is written, `BeingPublished`, and the errors of asking Freesound: in all these cases nothing
        was sent. Whatever happens after sending is in the answer.
        """
        form.to_description()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        progress("Looking for an earlier attempt", 0.0)
        earlier = self._earlier(person, md5, with_token)
        if earlier is not None:
            return earlier
        before = with_token(self._client.pending_uploads)  # also renews a token that has run out, before megabytes go out with it
        publication = self._begin(person, form, md5, heard, before)
        return self._send(publication, with_token, form, data, progress)

    def settle(self, person: Person, with_token: WithToken) -> list[Publication]:
        """Look up the truth about everything of this person's that is open. Raises the errors of asking Freesound."""
        return [self._settle(one, with_token) for one in self._record.of(person.user_id) if one.open]

    def of(self, person: Person) -> list[Publication]:
        """This person's publications, newest first."""
        return self._record.of(person.user_id)

    def states(self, person: Person, with_token: WithToken) -> tuple[PendingUploads, dict[int, FreesoundSound | None]]:
        """What of the person's is on its way at Freesound, and the sounds published from here that are not: public, or None where
        Freesound does not have them any more. Raises the errors of asking Freesound."""
        pending = with_token(self._client.pending_uploads)
        under_way = {one.id for one in (*pending.pending_processing, *pending.pending_moderation)}
        others = [one.sound for one in self.of(person) if one.state == "published" and one.sound and one.sound not in under_way]
        return pending, {number: self._sound(number) for number in others[:MOST_LOOKED_UP]}

    # Sending

    def _earlier(self, person: Person, md5: str, with_token: WithToken) -> Publication | None:
        """An earlier publication of the same bytes. Raises `BeingPublished` if what became of one is still open."""
        for one in self._record.of(person.user_id, md5):
            settled = self._settle(one, with_token) if one.open else one
            if settled.state == "published":
                return settled
            if settled.open:
                raise BeingPublished(f"An earlier attempt to publish this sound is not settled yet: {settled.message}")
        return None

    def _begin(self, person: Person, form: UploadForm, md5: str, heard: Heard, before: PendingUploads) -> Publication:
        """Write the intent."""
        intent, description = uuid.uuid4().hex, form.to_description()
        file_name = _unique_name(form.file_name, intent)
        body = {
            "before": [one.id for one in (*before.pending_processing, *before.pending_moderation)],
            "form": asdict(description),
            "model": heard.model.model_dump(mode="json"),
            "top": [one.model_dump(mode="json") for one in heard.top],
            "facts": heard.facts(),
        }
        files = {"ogg": heard.ogg, "webp": heard.webp, "arrays": _save_arrays(heard.arrays)}
        return self._record.begin(intent, person, description.name or file_name, file_name, md5, body, files)

    def _send(self, publication: Publication, with_token: WithToken, form: UploadForm, data: bytes, progress: Progress) -> Publication:
        """The one upload, and what its answer means."""
        name, description = publication.file_name, form.to_description()

        def upload(token: SecretStr) -> int:
            return self._client.upload(token, name, data, description, lambda share: progress("Sending to Freesound", share))

        try:
            sound = with_token(upload)
        except UploadUncertain as error:
            progress("Asking Freesound what became of it", 1.0)
            return self._settle_quietly(self._record.mark(publication, "uncertain", str(error)), with_token)
        except Refused as error:
            if DUPLICATE in str(error):
                return self._settle_quietly(self._record.mark(publication, "uncertain", str(error)), with_token, duplicate=True)
            return self._record.close(publication, "refused", _refusal(error))
        except (Throttled, DailyThrottled, DailyLimitReached) as error:
            said = f"Nothing was sent: {error} Your sound and everything you typed are still here."
            return self._record.close(publication, "refused", said)
        except FreesoundError as error:
            return self._record.close(publication, "refused", f"Nothing was published: {error}")
        progress("Keeping what Freesound stored", 1.0)
        return self._accept(publication, sound)

    # Looking up

    def _settle_quietly(self, publication: Publication, with_token: WithToken, *, duplicate: bool = False) -> Publication:
        """Look up, but where even that fails the publication stays open: a later look will tell."""
        try:
            return self._settle(publication, with_token, duplicate=duplicate)
        except EarmarkError as error:
            return self._record.mark(publication, "uncertain", f"{publication.message} It cannot be looked up just now: {error}")

    def _settle(self, publication: Publication, with_token: WithToken, *, duplicate: bool = False) -> Publication:
        """What really became of it, as far as Freesound tells today."""
        if publication.state == "accepted" and publication.sound:
            return self._accept(publication, publication.sound)
        if publication.state == "sending" and self._age(publication) < SENDING_TAKES_S and self._record.is_alive(publication):
            return publication
        pending = with_token(self._client.pending_uploads)
        sound = self._among_pending(publication, pending)
        if sound is not None:
            return self._accept(publication, sound)
        twin = self._twin(publication)
        if twin is not None and _is_theirs(twin, publication):
            return self._accept(publication, twin.id)
        reason = _why_not(publication, twin, pending, duplicate)
        if reason:
            return self._record.close(publication, "refused", reason)
        if self._age(publication) < CERTAIN_AFTER_S:
            return self._record.mark(publication, "uncertain", _NOT_LISTED_YET, touch=publication.state != "uncertain")
        return self._record.close(publication, "not there", "It did not arrive at Freesound. It can safely be published again.")

    def _age(self, publication: Publication) -> float:
        return self._record.clock() - publication.changed

    def _among_pending(self, publication: Publication, pending: PendingUploads) -> int | None:
        """The entry that is this publication: not there before it, of its name, and of its MD5 wherever Freesound shows that."""
        before = set(self._record.body(publication)["before"])
        claimed = {one.sound for one in self._record.of(publication.user_id) if one.intent != publication.intent}
        entries = [*pending.pending_processing, *pending.pending_moderation]
        unsure = []
        for number in [one.id for one in entries if one.name == publication.title and one.id not in before | claimed]:
            sound = self._sound(number)
            if sound is not None and sound.md5 == publication.md5:
                return number
            if sound is None or not sound.md5:
                unsure.append(number)
        return unsure[0] if len(unsure) == 1 else None

    def _twin(self, publication: Publication) -> FreesoundSound | None:
        """A public sound of the same bytes, the uploader's own before anybody else's."""
        found = [one for one in self._client.search(filter=f"md5:{publication.md5}", page_size=5) if one.md5 == publication.md5]
        return min(found, key=lambda one: not _is_theirs(one, publication), default=None)

    def _sound(self, number: int) -> FreesoundSound | None:
        """A sound, or None: one that is not moderated yet may or may not be shown."""
        try:
            return self._client.sound(number)
        except NotThere:
            return None

    # Keeping

    def _accept(self, publication: Publication, number: int) -> Publication:
        """Freesound has it: write its events, once, whatever interrupts this."""
        publication = self._record.mark(publication, "accepted", "Freesound has taken the sound.", sound=number)
        body = self._record.body(publication)
        if "events" not in body:
            body["events"] = [event.model_dump(mode="json") for event in self._events(publication, body, self._stored(number))]
            self._record.keep_body(publication, body)
        self._workspace.append(Event.model_validate(event) for event in body["events"])
        said = f"Published as sound {number}. Freesound processes it now; people then moderate it."
        return self._record.close(publication, "published", said)

    def _stored(self, number: int) -> FreesoundSound | None:
        """What Freesound really stored, where it shows that already."""
        try:
            return self._sound(number)
        except (FreesoundError, DailyLimitReached):
            return None

    def _events(self, publication: Publication, body: dict[str, Any], stored: FreesoundSound | None) -> Iterator[Event]:
        """*predicted* and *published*, with the media and the sidecar put in their places."""
        actor, sound_id = Person(publication.user_id, publication.username).actor, f"freesound:{publication.sound}"
        tags = tuple(stored.tags) if stored and stored.tags else tuple(freesound_tags(" ".join(body["form"]["tags"])))
        heard = tagging.Heard(
            sound_id=sound_id,
            sound=self._sound_facts(publication, body, stored, tags),
            top=tuple(Suggestion.model_validate(one) for one in body["top"]),
            audio=self._record.file(publication, "ogg"),
            spectrogram=self._record.file(publication, "webp"),
            arrays=_load_arrays(self._record.file(publication, "arrays")),
        )
        known = self._workspace.events(sound_id)
        model = ModelRef.model_validate(body["model"])
        predicted = tagging.keep(self._workspace, heard, model, actor, known[-1] if known else None)
        yield predicted
        decided = review(fold([predicted]), tags, actor, accept=True)
        decisions = decided.payload.decisions if decided else {}
        yield new_event(Published(decisions=decisions, basis=predicted.event_id, tags=tags), sound_id, actor, predicted)

    def _sound_facts(self, publication: Publication, body: dict[str, Any], stored: FreesoundSound | None, tags: tuple[str, ...]) -> Sound:
        form, place = body["form"], category(body["form"]["bst_category"])
        return Sound(
            title=publication.title,
            source="Freesound",
            author=publication.username,
            license=LICENSES[form["license"]].deed,
            description=form["description"],
            url=own_page(stored.url, self._client.api) if stored else "",
            created=stored.created if stored else "",
            tags=tags,
            category=place.label,
            **body["facts"],
        )


_NOT_LISTED_YET = (
    "The sound was sent, but no clear answer came, and Freesound does not list it yet. Nothing will be sent twice: look again in a minute "
    "or two."
)


def _is_theirs(sound: FreesoundSound, publication: Publication) -> bool:
    return sound.username.casefold() == publication.username.casefold()


def _why_not(publication: Publication, twin: FreesoundSound | None, pending: PendingUploads, duplicate: bool) -> str:
    """Why this publication is certainly not going to be a sound; empty if that is not certain."""
    if twin is not None:
        return f"This very file is on Freesound already: sound {twin.id} by {twin.username}. It was not added again."
    if publication.file_name in pending.pending_description:
        return (
            f"Freesound has the file as {publication.file_name}, but not its description. Please finish it on Freesound's own page, "
            f"{SITE}/home/describe/."
        )
    if duplicate:
        return (
            "Freesound says that it has this very file already, and does not say where: it may be yours from another time, somebody "
            "else's, or a half-made entry of an upload that failed. It was not added again."
        )
    return ""


def _refusal(error: Refused) -> str:
    """The server's messages by field, each as a sentence."""
    if not error.fields:
        return f"Nothing was published. {error}"
    said = [explain(field, message) for field, messages in error.fields.items() for message in messages]
    return "Nothing was published. " + " ".join(dict.fromkeys(said))


def _unique_name(file_name: str, intent: str) -> str:
    """A name that no other upload has: Freesound overwrites a waiting file of the same name silently."""
    stem, _, suffix = file_name.rpartition(".")
    slug = re.sub(r"[^A-Za-z0-9]+", "-", stem).strip("-")[:60] or "sound"
    return f"{slug}-{intent[:8]}.{suffix.lower()}"


def _save_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(values) for name, values in arrays.items()})


def _load_arrays(data: bytes) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return load(data)
