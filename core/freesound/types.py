"""Freesound's records, as far as Earmark reads or sends them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from core.untrusted import clean_text

MAX_ID = 2**63 - 1
"""What the tables hold."""
MAX_COUNT = 2**31 - 1
Id = Annotated[int, Field(gt=0, le=MAX_ID)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
GEOTAG = r"^-?[0-9]{1,3}(\.[0-9]{1,20})? -?[0-9]{1,3}(\.[0-9]{1,20})?$"
"""Latitude and longitude."""


class Record(BaseModel):
    """An object of the API; fields that Earmark does not use are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class FreesoundSound(Record):
    """A sound as the API describes it.

    All texts are the uploader's and raw: escape them before they are shown. Only `id` and `name`
    must be there; another field whose value is not of its type counts as absent.
    """

    id: Id
    name: str
    tags: tuple[str, ...] = ()
    description: str = ""
    username: str = ""
    license: str = ""
    created: str = ""
    duration: float = Field(0.0, ge=0, allow_inf_nan=False)
    type: str = ""
    channels: Count = 0
    samplerate: float = Field(0.0, ge=0, allow_inf_nan=False)
    category: str | None = None
    subcategory: str | None = None
    category_code: str | None = None
    gen_ai_preference: str = ""
    url: str = ""
    previews: dict[str, str] = {}
    md5: str = ""
    is_explicit: bool = False
    pack_name: str = ""
    geotag: str = Field("", pattern=GEOTAG)
    avg_rating: float = Field(0.0, ge=0, le=5)
    num_ratings: Count = 0

    @field_validator("*", mode="wrap")
    @classmethod
    def _or_absent(
        cls, value: object, validate: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> object:
        """Return a checked value, or the default of an optional field that has a wrong one."""
        try:
            return validate(value)
        except ValidationError:
            field = cls.model_fields[info.field_name or ""]
            if field.is_required():
                raise
            return field.get_default()


SOUND_FIELDS = ",".join(FreesoundSound.model_fields)
"""What to ask for: the API sends a short default selection otherwise."""


class FreesoundUser(Record):
    """The person who is signed in. `unique_id` stays when the name changes."""

    unique_id: Id
    username: str

    @field_validator("username")
    @classmethod
    def _clean(cls, name: str) -> str:
        """Return the name as it may be shown and recorded."""
        return clean_text(name)


class PendingSound(Record):
    """A described sound on its way through processing and moderation."""

    id: Id
    name: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
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
        is_explicit: It has explicit content. The API cannot set that, so it is not sent.
        sources: Ids of the sounds that it was made from. The API cannot set them either.
    """

    name: str
    tags: tuple[str, ...]
    description: str
    license: str
    bst_category: str
    pack: str = ""
    geotag: str = ""
    is_explicit: bool = False
    sources: tuple[int, ...] = ()

    def form(self) -> dict[str, str]:
        """Return the fields that the API takes; empty ones are left out."""
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
