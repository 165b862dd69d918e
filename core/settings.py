"""One typed settings object, read once from the environment and `.streamlit/secrets.toml`."""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from core.errors import EarmarkError
from core.setting_checks import check_host, check_path, check_project_folder, split_host

ROOT = Path(__file__).parents[1]
SECRETS_VARIABLE = "EARMARK_SECRETS_FILE"
EXAMPLE_SOUNDS = ROOT / "examples" / "sounds"
OWN_DATA = ROOT / ".earmark"
"""Where the program keeps data unless a setting names another place."""
REQUESTS_NAME = "freesound-requests.sqlite"
PREFIX = "EARMARK_"
MAX_REASON_LENGTH = 200
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "freesound_api_key": ("FREESOUND_API_KEY",),
    "freesound_requests_file": ("EARMARK_FREESOUND_LEDGER",),
    "hopsworks_prototype_file": ("EARMARK_HOPSWORKS_SEED",),
}
"""Variables that are accepted too, by setting: a common name, and names of earlier versions."""


class SettingsError(EarmarkError):
    """A setting that cannot be used."""


def is_loopback(host: str) -> bool:
    """Return True for a host name or address that is this machine itself and nothing else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Return True for an address in digits, which is no name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _split_list(value: object) -> object:
    """Split a text of values separated by commas or spaces."""
    return re.split(r"[,\s]+", value.strip(" ,")) if isinstance(value, str) else value


def _whole_number(value: object) -> object:
    """Return the number that a text of digits writes; any other value as it is."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _check_address(value: str) -> str:
    """Return a web address without query and final slash.

    Secrets travel there, so plain http is accepted for this machine only.
    """
    parts = urlsplit(value)
    is_plain = not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_plain:
        raise ValueError("a web address such as https://earmark.example.org is needed")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("https is needed for every address but this machine's own")
    return value.rstrip("/")


def _check_host(value: str) -> str:
    """Return a host name in lower case; `*.` before it stands for every name below it."""
    if value != "*" and not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", value.lower()):
        raise ValueError("a host name such as earmark.example.org is needed, without port or path")
    return value.lower()


def _check_site(value: str) -> str:
    """Return a site: scheme and host, perhaps a port."""
    if not re.fullmatch(r"https?://(\*\.)?[a-z0-9.-]+(:[0-9]{1,5})?", value.lower()):
        raise ValueError(
            "the address of a site such as https://example.org is needed, without path"
        )
    return value.lower()


def _check_network(value: str) -> str:
    """Return an address, or a network of addresses, as it was written."""
    ip_network(value, strict=False)
    return value


def _user_folder(path: Path) -> Path:
    """Return a path with the home folder in the place of `~`.

    Raises:
        SettingsError: There is no such home folder.
    """
    try:
        return path.expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise SettingsError(f"The folder {path} cannot be used: {reason}.") from error


WebAddress = Annotated[str, AfterValidator(_check_address)]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_check_host)], ...], NoDecode, BeforeValidator(_split_list)
]
Sites = Annotated[
    tuple[Annotated[str, AfterValidator(_check_site)], ...], NoDecode, BeforeValidator(_split_list)
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_check_network)], ...],
    NoDecode,
    BeforeValidator(_split_list),
]
UserIds = Annotated[tuple[Annotated[int, Field(gt=0)], ...], NoDecode, BeforeValidator(_split_list)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_list)]
Occasion = Literal["run_failed", "nothing_ran", "drift", "challenger_ready"]
"""What people can be notified of."""
Occasions = Annotated[tuple[Occasion, ...], NoDecode, BeforeValidator(_split_list)]
LearnedPrecision = Annotated[Literal[85, 90, 95, 99], BeforeValidator(_whole_number)]
HostName = Annotated[str, AfterValidator(check_host)]
SharedPath = Annotated[str, AfterValidator(check_project_folder)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)]


def _variables(name: str) -> AliasChoices:
    """Return the environment variables of a setting that has more than one."""
    return AliasChoices(PREFIX + name.upper(), *OTHER_NAMES[name])


class Settings(BaseSettings):
    """Every setting.

    Each is `EARMARK_<NAME>` in the environment, or `<name>` in the table `[earmark]` of
    `.streamlit/secrets.toml`. The environment wins.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
    )

    sounds: Path | None = Field(
        None,
        description="Folder of sounds to tag and show, subfolders included; "
        "without it, the example sounds",
    )
    workspace: Path | None = Field(
        None,
        description="Folder of events, media and models; "
        "without it, one per folder of sounds in `.earmark/`",
    )
    curator: str = Field(
        "",
        max_length=60,
        description="Name under which edits on this machine are recorded; "
        "without it, people are asked once",
    )
    max_seconds: float = Field(
        600, gt=0, le=7200, description="Longest sound that is accepted, in seconds"
    )
    max_megabytes: float = Field(
        100,
        gt=0,
        le=2000,
        description="Largest file that is accepted, in megabytes; "
        "raise `server.maxUploadSize` in `.streamlit/config.toml` with it",
    )
    max_samples: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="Most samples that are decoded of one file, in millions, of all its channels "
        "together; without it 120, or more where longer sounds are accepted",
    )
    max_work_seconds: float = Field(
        60,
        gt=0,
        le=7200,
        description="Longest work on one sound, in seconds; its wait in the queue does not count",
    )
    max_analyses: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Clips that the app works on at a time; without it, one per core",
    )
    max_suggestions: int = Field(
        5,
        ge=1,
        le=30,
        description="Most tags that are suggested for ten seconds of sound; "
        "for longer sounds as many again for each further ten seconds, but no more than 30",
    )
    page_size: int = Field(10, ge=1, le=50, description="Sounds on a page of the monitor")
    second_opinion_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of confirmed sounds, 0 to 1, that another curator is asked about "
        "without seeing the first one's decisions",
    )
    learned_precision: LearnedPrecision | None = Field(
        None,
        description="Precision in percent, 85, 90, 95 or 99, whose learned thresholds each run of "
        "the tagging job uses; without it, maintainers decide on *Model metrics*",
    )
    min_threshold_verdicts: int = Field(
        50,
        ge=20,
        le=100_000,
        description="Verdicts of curators on a tag from which on its threshold can be learned",
    )
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="Threads that one prediction uses; several predictions at once gain more "
        "than several threads each",
    )
    log_level: LogLevel = Field(
        "INFO", description="Least level of the log on stderr: DEBUG, INFO, WARNING or ERROR"
    )

    freesound_api_key: SecretStr | None = Field(
        None,
        validation_alias=_variables("freesound_api_key"),
        description="Key of a Freesound API credential, which is its client secret too; "
        "without it nothing is read from Freesound. `FREESOUND_API_KEY` is accepted too",
    )
    freesound_client_id: str = Field(
        "",
        max_length=100,
        description="Client id of that credential; without it nobody can sign in or publish",
    )
    freesound_jobs_key: SecretStr | None = Field(
        None,
        description="Key of a second credential that jobs read with, "
        "so that they leave the first one's requests to people",
    )
    freesound_api: WebAddress = Field(
        "https://freesound.org/apiv2", description="Address of the Freesound API"
    )
    freesound_requests_file: Path | None = Field(
        None,
        validation_alias=_variables("freesound_requests_file"),
        description="File in which requests to Freesound are counted; "
        "all programs of a machine share one; without it "
        "`.earmark/freesound-requests.sqlite`, or in the workspace where the program's folder "
        "cannot be written",
    )
    preview_hosts: Names = Field(
        ("cdn.freesound.org", "freesound.org"),
        description="Hosts that previews may be fetched from",
    )
    feed_limit: int = Field(
        5, ge=1, le=500, description="New sounds that one fetch from Freesound takes"
    )
    feed_seconds: float = Field(
        10, gt=0, le=7200, description="Longest sound that a fetch takes, in seconds"
    )
    feed_days: int = Field(
        30, ge=1, le=365, description="Days that a fetch looks back: moderation takes days"
    )

    public_url: WebAddress | None = Field(
        None,
        description="Address (https) under which people reach the app, "
        "where that is not this machine",
    )
    allowed_hosts: Hosts = Field(
        (),
        description="Further host names under which the app may be reached; localhost, addresses "
        "in digits and the host of `EARMARK_PUBLIC_URL` always work. `*.example.org` stands for "
        "all names below it, `*` for every name",
    )
    frame_ancestors: Sites = Field(
        (),
        description="Sites, such as https://example.org, that may show the app in a frame",
    )
    trusted_proxies: Networks = Field(
        ("127.0.0.1", "::1"),
        description="Addresses or networks of the proxies whose `X-Forwarded-For` is believed; "
        "visitors are told apart by it",
    )
    curators: UserIds = Field(
        (), description="Freesound user ids (numbers) of those who may correct tags"
    )
    maintainers: UserIds = Field(
        (),
        description="Freesound user ids of those who may also fetch sounds, deploy models "
        "and withdraw sounds",
    )
    visitor_uploads_an_hour: int = Field(
        30, ge=1, description="Clips that a visitor who is not signed in may try in an hour"
    )
    visitor_megabytes: float = Field(
        30, gt=0, le=2000, description="Largest file that such a visitor may try, in megabytes"
    )
    upload_megabytes_per_session: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="Most megabytes of uploaded files that the app keeps in memory for one open "
        "page; without it, five times the largest file",
    )
    upload_megabytes: float | None = Field(
        None,
        gt=0,
        le=100_000,
        description="The same for all open pages together; without it, twice as many as for one",
    )

    hopsworks_host: HostName = Field(
        "",
        description="Host of the team's Hopsworks, or its address (https); without it everything "
        "stays on this machine",
    )
    hopsworks_port: int = Field(443, ge=1, le=65535, description="Port of Hopsworks")
    hopsworks_project: str = Field("", description="Project on Hopsworks")
    hopsworks_api_key: SecretStr | None = Field(None, description="API key for that project")
    hopsworks_certificate: Path | None = Field(
        None, description="PEM file to trust, for a Hopsworks with a self-signed certificate"
    )
    hopsworks_verify: bool = Field(True, description="Check the certificate of Hopsworks")
    hopsworks_folder: SharedPath = Field(
        "Resources/earmark", description="Shared folder in the project"
    )
    hopsworks_prototype_file: str = Field(
        "Resources/id2prediction.json",
        validation_alias=_variables("hopsworks_prototype_file"),
        description="The prototype's file in the project, imported at the first run of a job",
    )
    tag_every_days: int = Field(
        3, ge=1, le=365, description="Days between two runs of the scheduled tagging job"
    )
    keep_runs: int = Field(
        10, ge=1, description="Runs of the tagging job whose media stay in the shared folder"
    )
    training_data: Path | None = Field(
        None,
        description="Folder of labelled clips that `python -m training retrain` learns from "
        "beside people's corrections",
    )
    training_others: Path | None = Field(
        None, description="Folder of other sounds, from which models learn when to say nothing"
    )
    commercial_only: bool = Field(
        False,
        description="Retrain without corrected sounds whose license does not allow commercial "
        "use, or is unknown",
    )
    respect_gen_ai: bool = Field(
        True,
        description="Retrain without sounds whose uploaders want no generative AI trained on them",
    )
    auto_deploy: bool = Field(
        False,
        description="Deploy a challenger by itself if the interval of the difference to the "
        "active model excludes a loss",
    )
    quiet_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Days without a finished run after which people are warned; "
        "without it, twice `EARMARK_TAG_EVERY_DAYS` and one",
    )
    notify: SecretStr | None = Field(
        None,
        description="Addresses to notify, as Apprise writes them, separated by spaces; "
        "without it nobody is notified",
    )
    notify_on: Occasions = Field(
        ("run_failed", "nothing_ran", "drift", "challenger_ready"),
        description="Occasions for a notification",
    )

    @field_validator("*")
    @classmethod
    def _check_paths(cls, value: object) -> object:
        """Refuse paths that cannot be printed in one line."""
        return check_path(value) if isinstance(value, Path) else value

    @model_validator(mode="after")
    def _split_address(self) -> Self:
        """Take the port out of the address of Hopsworks, where it has one."""
        host, port = split_host(self.hopsworks_host)
        if port is not None:
            stated = self.hopsworks_port if "hopsworks_port" in self.model_fields_set else port
            if stated != port:
                raise ValueError(f"it names port {port}, and EARMARK_HOPSWORKS_PORT {stated}")
            object.__setattr__(self, "hopsworks_host", host)
            object.__setattr__(self, "hopsworks_port", port)
        return self

    @property
    def sounds_folder(self) -> Path:
        """Return the folder of sounds to tag.

        Raises:
            SettingsError: It is in the home folder of somebody who does not exist.
        """
        return _user_folder(self.sounds or EXAMPLE_SOUNDS)

    @property
    def requests_file(self) -> Path:
        """Return the file in which requests to Freesound are counted."""
        if self.freesound_requests_file:
            return _user_folder(self.freesound_requests_file)
        is_installed_read_only = self.workspace and not _can_be_written(OWN_DATA)
        folder = self.workspace_folder if is_installed_read_only else OWN_DATA
        return folder / REQUESTS_NAME

    @property
    def workspace_folder(self) -> Path:
        """Return the workspace's folder: the one that is set, or one per folder of sounds.

        Raises:
            SettingsError: It is in the home folder of somebody who does not exist.
        """
        if self.workspace:
            return _user_folder(self.workspace)
        if self.hopsworks_host:
            host = f"{self.hopsworks_host}:{self.hopsworks_port}"
            address = f"{host}/{self.hopsworks_project}/{self.hopsworks_folder}"
            return OWN_DATA / f"hopsworks-{_short_hash(address)}"
        if not self.sounds:
            return OWN_DATA / "examples"
        folder = self.sounds_folder
        slug = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")
        return OWN_DATA / f"{slug}-{_short_hash(str(folder))}"

    @property
    def can_sign_in(self) -> bool:
        """Return True if the credential for signing in with Freesound is complete."""
        return bool(self.freesound_api_key and self.freesound_client_id)

    def roles_of(self, user_id: int) -> str:
        """Return the roles of a Freesound user, separated by spaces; empty if there are none."""
        holders = {"curator": self.curators, "maintainer": self.maintainers}
        return " ".join(role for role, user_ids in holders.items() if user_id in user_ids)

    @property
    def secrets(self) -> tuple[SecretStr, ...]:
        """Return the values that no log may show."""
        values = (getattr(self, name) for name in type(self).model_fields)
        secrets = tuple(value for value in values if isinstance(value, SecretStr))
        return secrets + self.notify_addresses

    @property
    def notify_addresses(self) -> tuple[SecretStr, ...]:
        """Return the addresses to notify, each a secret."""
        text = self.notify.get_secret_value() if self.notify else ""
        return tuple(SecretStr(address) for address in text.split())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then secrets.toml."""
        return init_settings, env_settings, InitSettingsSource(settings_cls, _from_secrets())


def _can_be_written(folder: Path) -> bool:
    """Return True if a folder, or what will hold it, can be written."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(existing, os.W_OK)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]


def _secrets_table() -> dict[str, Any]:
    """Return the `[earmark]` table of secrets.toml; nothing where there is no such file."""
    path = Path(os.environ.get(SECRETS_VARIABLE) or ROOT / ".streamlit" / "secrets.toml")
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("earmark", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(table, dict):
        raise SettingsError(f"[earmark] in {path.name} must be a table.")
    return table


def _from_secrets() -> dict[str, Any]:
    """Return what secrets.toml sets, by setting. An empty text means not set."""
    current = _current_names()
    entries = {name: value for name, value in _secrets_table().items() if value != ""}
    renamed = {current[name]: value for name, value in entries.items() if name in current}
    return renamed | {name: value for name, value in entries.items() if name not in current}


def _current_names() -> dict[str, str]:
    """Return settings by the names that earlier versions had for them in secrets.toml."""
    return {
        variable.removeprefix(PREFIX).lower(): name
        for name, variables in OTHER_NAMES.items()
        for variable in variables
        if variable.startswith(PREFIX)
    }


def read_settings() -> Settings:
    """Read the settings afresh.

    Raises:
        SettingsError: A setting cannot be used; the error names the first of them.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        field = first["loc"][0] if first["loc"] else "hopsworks_host"
        name = PREFIX + str(field).upper().removeprefix(PREFIX)
        reason = first["msg"].removeprefix("Value error, ")
        if len(reason) > MAX_REASON_LENGTH:  # it quotes the value
            reason = f"{reason[:MAX_REASON_LENGTH]}…"
        raise SettingsError(f"The setting {name} cannot be used: {reason}.") from error


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process."""
    return read_settings()


def unknown_settings() -> list[str]:
    """Return names in the environment and in secrets.toml that look like settings and are none.

    Misspellings, most likely.
    """
    fields = Settings.model_fields
    known = {PREFIX + name.upper() for name in fields} | {SECRETS_VARIABLE}
    known.update(*OTHER_NAMES.values())
    variables = (name for name in os.environ if name.startswith(PREFIX) and name not in known)
    entries = (name for name in _secrets_table() if name not in {*fields, *_current_names()})
    return [*sorted(variables), *sorted(entries)]


def settings_table() -> str:
    """Return a Markdown table of all settings: variable, default, meaning."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = _shown_default(field.default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    secrets_file = "Another file to read settings from; environment only"
    rows.append(f"| `{SECRETS_VARIABLE}` | `.streamlit/secrets.toml` | {secrets_file} |")
    return "\n".join(rows) + "\n"


def _shown_default(value: object) -> str:
    """Return a default as Markdown; empty for a setting that is not set."""
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, Path):
        value = value.relative_to(ROOT).as_posix() if value.is_relative_to(ROOT) else value
    elif isinstance(value, tuple):
        value = ",".join(map(str, value))
    elif isinstance(value, bool):
        value = str(value).lower()
    return f"`{value}`"
