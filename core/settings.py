"""One typed settings object, read once from the environment and `.streamlit/secrets.toml`."""

import hashlib
import os
import re
import tomllib
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from core.errors import EarmarkError
from core.model.audio import AudioLimits

ROOT = Path(__file__).parents[1]
SECRETS_VARIABLE = "EARMARK_SECRETS_FILE"
EXAMPLE_SOUNDS = ROOT / "examples" / "sounds"
PREFIX = "EARMARK_"


class SettingsError(EarmarkError):
    """A setting that cannot be used."""


def is_loopback(host: str) -> bool:
    """Whether that host name or address is this machine itself and nothing else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _listed(value: Any) -> Any:
    """A text of values separated by commas or spaces as a list."""
    return re.split(r"[,\s]+", value.strip(" ,")) if isinstance(value, str) else value


def _address(value: str) -> str:
    """A web address without query; plain http only for this machine, because secrets travel there."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("a web address such as https://earmark.example.org is needed")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("https is needed for every address but this machine's own")
    return value.rstrip("/")


WebAddress = Annotated[str, AfterValidator(_address)]
UserIds = Annotated[tuple[Annotated[int, Field(gt=0)], ...], NoDecode, BeforeValidator(_listed)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]


class Settings(BaseSettings):
    """Every setting: `EARMARK_<NAME>` in the environment, or `<name>` under `[earmark]` in `.streamlit/secrets.toml`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True)

    sounds: Path | None = Field(None, description="Folder of sounds to tag and show; without it, the example sounds")
    workspace: Path | None = Field(None, description="Folder of the workspace; without it, one per folder of sounds, in .earmark")
    curator: str = Field("", max_length=60, description="Name that edits on this machine are recorded under; without it, people are asked")
    max_seconds: float = Field(600, gt=0, le=7200, description="Longest sound that is accepted, in seconds")
    max_megabytes: float = Field(100, gt=0, le=2000, description="Largest file that is accepted, in megabytes")
    page_size: int = Field(10, ge=1, le=50, description="Sounds on a page of the monitor")
    hopsworks_host: str = Field("", description="Host of the team's Hopsworks; without it everything is kept on this machine")
    hopsworks_port: int = Field(443, ge=1, le=65535, description="Port of Hopsworks")
    hopsworks_project: str = Field("", description="Project on Hopsworks")
    hopsworks_api_key: SecretStr | None = Field(None, description="API key for that project")
    hopsworks_certificate: Path | None = Field(None, description="PEM file to trust where Hopsworks has a certificate of its own making")
    hopsworks_verify: bool = Field(True, description="Whether the certificate of Hopsworks is checked")
    hopsworks_folder: str = Field("Resources/earmark", min_length=1, description="Folder of the project that Earmark keeps things in")
    hopsworks_seed: str = Field("Resources/id2prediction.json", description="The seed's file in the project, imported at the first run")
    tag_every_days: int = Field(3, ge=1, le=365, description="Days between two runs of the scheduled tagging job")
    keep_runs: int = Field(10, ge=1, description="Runs of the tagging job whose sounds are kept on Hopsworks")

    freesound_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("EARMARK_FREESOUND_API_KEY", "FREESOUND_API_KEY"),
        description="Key of the Freesound API credential, which is its client secret too; without it there is no feed",
    )
    freesound_client_id: str = Field("", max_length=100, description="Its client id; without it nobody can sign in with Freesound")
    freesound_jobs_key: SecretStr | None = Field(None, description="Key of a second credential that jobs read with, if there is one")
    freesound_api: WebAddress = Field("https://freesound.org/apiv2", description="Address of the Freesound API")
    freesound_ledger: Path = Field(
        ROOT / ".earmark" / "freesound-requests.sqlite", description="File that counts requests; everything on a machine shares one"
    )
    preview_hosts: Names = Field(("cdn.freesound.org", "freesound.org"), description="Hosts that previews may be fetched from")
    feed_limit: int = Field(5, ge=1, le=500, description="New sounds that one fetch from Freesound takes")
    feed_seconds: float = Field(10, gt=0, le=7200, description="Longest sound that the feed takes, in seconds")
    feed_days: int = Field(30, ge=1, le=365, description="Days that the feed looks back: moderation takes days")

    public_url: WebAddress | None = Field(None, description="Address under which people reach the app, where that is not this machine")
    curators: UserIds = Field((), description="Freesound user ids (numbers) of those who may correct tags")
    maintainers: UserIds = Field((), description="Freesound user ids of those who may also fetch, roll out and withdraw")
    visitor_uploads_an_hour: int = Field(30, ge=1, description="Clips that one visitor may have listened to in an hour")
    visitor_megabytes: float = Field(30, gt=0, le=2000, description="Largest file that a visitor may try, in megabytes")

    @property
    def sounds_folder(self) -> Path:
        """The folder of sounds to tag."""
        return (self.sounds or EXAMPLE_SOUNDS).expanduser().resolve()

    @property
    def workspace_folder(self) -> Path:
        """The workspace's folder: the one that was set, or one of its own for each folder of sounds."""
        if self.workspace:
            return self.workspace.expanduser().resolve()
        if self.hopsworks_host:
            home = f"{self.hopsworks_host}:{self.hopsworks_port}/{self.hopsworks_project}/{self.hopsworks_folder}"
            return ROOT / ".earmark" / f"hopsworks-{hashlib.sha256(home.encode()).hexdigest()[:8]}"
        if not self.sounds:
            return ROOT / ".earmark" / "examples"
        slug = re.sub(r"[^a-z0-9]+", "-", self.sounds_folder.name.lower()).strip("-")
        return ROOT / ".earmark" / f"{slug}-{hashlib.sha256(str(self.sounds_folder).encode()).hexdigest()[:8]}"

    @property
    def limits(self) -> AudioLimits:
        return AudioLimits(self.max_seconds, self.max_megabytes)

    @property
    def can_sign_in(self) -> bool:
        """Whether the credential for signing in with Freesound is complete."""
        return bool(self.freesound_api_key and self.freesound_client_id)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment first, then secrets.toml."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _from_secrets())


def _secrets_file() -> Path:
    return Path(os.environ.get(SECRETS_VARIABLE) or ROOT / ".streamlit" / "secrets.toml")


def _from_secrets() -> dict[str, Any]:
    """What the `[earmark]` table of secrets.toml sets; nothing where there is no such file. An empty text means not set."""
    path = _secrets_file()
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("earmark", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(table, dict):
        raise SettingsError(f"[earmark] in {path.name} must be a table.")
    return {name: value for name, value in table.items() if value != ""}


def read_settings() -> Settings:
    """Read the settings afresh. Raises `SettingsError` with one sentence naming the first setting that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper().removeprefix(PREFIX)
        raise SettingsError(f"The setting {name} cannot be used: {first['msg'].removeprefix('Value error, ')}.") from error


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process."""
    return read_settings()


def unknown_settings() -> list[str]:
    """Names in the environment and in secrets.toml that look like settings and are none: misspellings, most likely."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {SECRETS_VARIABLE}
    in_file = sorted(name for name in _from_secrets() if name not in Settings.model_fields)
    return [*sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known), *in_file]
