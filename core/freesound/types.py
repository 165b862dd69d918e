"""Freesound's records, as far as Earmark reads or sends them."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """An object of the API; fields that Earmark does not use are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FreesoundSound(Record):
    """A sound as the API describes it.

    All texts are the uploader's and raw: escape them before they are shown.
    """

    id: int = Field(gt=0)
    name: str
    tags: tuple[str, ...] = ()
    description: str = ""
    username: str = ""
    license: str = ""
    created: str = ""
    duration: float = Field(0.0, ge=0, allow_inf_nan=False)
    type: str = ""
    channels: int = 0
    samplerate: float = 0.0
    category: str | None = None
    subcategory: str | None = None
    category_code: str | None = None
    gen_ai_preference: str = ""
    url: str = ""
    previews: dict[str, str] = {}
    md5: str = ""


SOUND_FIELDS = ",".join(FreesoundSound.model_fields)
"""What to ask for: the API sends a short default selection otherwise."""


class FreesoundUser(Record):
    """The person who is signed in. `unique_id` stays when the name changes."""

    unique_id: int
    username: str


class PendingSound(Record):
    """A described sound on its way through processing and moderation."""

    id: int
    name: str = ""
    tags: tuple[str, ...] = ()
    created: str = ""
    processing_state: str = ""


class PendingUploads(Record):
    """A person's uploads that are not public yet.

    Attributes:
        pending_description: File names that have to be described on the website.
        pending_processing: Sounds that are being processed.
        pending_moderation: Sounds that wait for a moderator.
    """

    pending_description: tuple[str, ...] = ()
    pending_processing: tuple[PendingSound, ...] = ()
    pending_moderation: tuple[PendingSound, ...] = ()

    @property
    def sounds(self) -> tuple[PendingSound, ...]:
        """Everything that has an id already."""
        return (*self.pending_processing, *self.pending_moderation)


@dataclass(frozen=True)
class Description:
    """The form that is sent with an upload; checked by the caller, and again by the server.

    Attributes:
        name: The sound's title.
        tags: Sent joined by spaces.
        description: Several lines of text.
        license: One of Freesound's names of licenses.
        bst_category: Second-level code of the Broad Sound Taxonomy.
        pack: Name of a pack, or empty.
        geotag: `latitude,longitude,zoom`, or empty.
    """

    name: str
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    pack: str = ""
    geotag: str = ""

    def form(self) -> dict[str, str]:
        """Return the form's fields; empty ones are left out."""
        fields = {
            "name": self.name,
            "tags": " ".join(self.tags),
            "description": self.description,
            "license": self.license,
            "bst_category": self.bst_category,
            "pack": self.pack,
            "geotag": self.geotag,
        }
        return {name: value for name, value in fields.items() if value}
