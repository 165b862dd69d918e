import os
import re

import pytest

from core import settings
from core.audio.types import SAMPLES_PER_SECOND, AudioLimits
from core.settings import (
    EXAMPLE_SOUNDS,
    Settings,
    SettingsError,
    read_settings,
    settings_table,
    unknown_settings,
)
from tests.helpers.commands import modules_loaded_by


def test_without_any_setting_the_example_sounds_are_shown_from_a_workspace_of_their_own():
    settings = read_settings()
    assert settings.sounds_folder == EXAMPLE_SOUNDS
    assert settings.workspace_folder.name == "examples"


def test_each_folder_of_sounds_has_a_workspace_of_its_own(monkeypatch, tmp_path):
    folders = set()
    for name in ("one/sounds", "two/sounds"):
        monkeypatch.setenv("EARMARK_SOUNDS", str(tmp_path / name))
        folders.add(read_settings().workspace_folder)
    assert len(folders) == 2


def test_a_workspace_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))
    assert read_settings().workspace_folder == tmp_path / "w"


def test_requests_are_counted_in_the_workspace_where_the_program_s_folder_cannot_be_written(
    monkeypatch, tmp_path
):
    monkeypatch.delenv("EARMARK_FREESOUND_REQUESTS_FILE")
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))
    name = "freesound-requests.sqlite"
    assert read_settings().requests_file == settings.OWN_DATA / name
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert read_settings().requests_file == tmp_path / "w" / name
    monkeypatch.setenv("EARMARK_FREESOUND_REQUESTS_FILE", str(tmp_path / "counted"))
    assert read_settings().requests_file == tmp_path / "counted"


def test_an_empty_variable_means_not_set(monkeypatch):
    monkeypatch.setenv("EARMARK_SOUNDS", "")
    assert read_settings().sounds is None


def test_settings_also_come_from_the_secrets_file_and_the_environment_wins(monkeypatch, tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text('[earmark]\ncurator = "Ada"\npage_size = 20\n')
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    monkeypatch.setenv("EARMARK_PAGE_SIZE", "30")
    assert (read_settings().curator, read_settings().page_size) == ("Ada", 30)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EARMARK_PAGE_SIZE", "many"),
        ("EARMARK_MAX_SECONDS", "-1"),
        ("EARMARK_CURATOR", "x" * 61),
        ("EARMARK_CURATORS", "bob"),
        ("EARMARK_PUBLIC_URL", "http://earmark.example.org"),
        ("EARMARK_FREESOUND_API", "freesound"),
        ("EARMARK_LOG_LEVEL", "loud"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_sentence(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=rf"^The setting {name} cannot be used: .*\.$"):
        read_settings()


@pytest.mark.parametrize("text", ["not toml [", 'earmark = "x"', "\xff"])
def test_a_secrets_file_that_cannot_be_read_is_said(monkeypatch, tmp_path, text):
    file = tmp_path / "secrets.toml"
    file.write_text(text, "latin-1")
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    with pytest.raises(SettingsError, match=r"secrets\.toml"):
        read_settings()


def test_misspelt_settings_are_noticed(monkeypatch):
    monkeypatch.setenv("EARMARK_SOUND", "/somewhere")
    assert unknown_settings() == ["EARMARK_SOUND"]


def test_an_empty_or_misspelt_name_in_the_secrets_file_is_not_a_folder_and_not_overlooked(
    monkeypatch, tmp_path
):
    file = tmp_path / "secrets.toml"
    file.write_text('[earmark]\nsounds = ""\npage_sise = 3\n')
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    assert read_settings().sounds is None
    assert unknown_settings() == ["page_sise"]


def test_the_freesound_key_is_read_under_either_name_and_never_shown(monkeypatch, tmp_path):
    key = "s3cret" * 6
    monkeypatch.setenv("FREESOUND_API_KEY", key)
    assert read_settings().freesound_api_key.get_secret_value() == key
    monkeypatch.delenv("FREESOUND_API_KEY")
    file = tmp_path / "secrets.toml"
    file.write_text(f'[earmark]\nfreesound_api_key = "{key}"\nfreesound_client_id = "id"\n')
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    assert read_settings().can_sign_in
    assert key not in repr(read_settings())
    assert unknown_settings() == []


def test_roles_are_lists_of_freesound_user_ids(monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_CURATORS", "12, 13 14")
    assert read_settings().curators == (12, 13, 14)
    file = tmp_path / "secrets.toml"
    file.write_text("[earmark]\nmaintainers = [7]\n")
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    assert read_settings().maintainers == (7,)


def test_plain_http_is_for_this_machine_only(monkeypatch):
    for address in (
        "http://localhost:8501",
        "http://127.0.0.1:8501/",
        "https://earmark.example.org",
    ):
        monkeypatch.setenv("EARMARK_PUBLIC_URL", address)
        assert read_settings().public_url == address.rstrip("/")


def test_the_environment_wins_over_the_file_also_under_a_settings_other_name(monkeypatch, tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text('[earmark]\nfreesound_api_key = "file"\nhopsworks_prototype_file = "file"\n')
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    monkeypatch.setenv("FREESOUND_API_KEY", "environment")
    monkeypatch.setenv("EARMARK_HOPSWORKS_SEED", "environment")
    settings = read_settings()
    assert settings.freesound_api_key.get_secret_value() == "environment"
    assert settings.hopsworks_prototype_file == "environment"


@pytest.mark.parametrize(
    ("former", "name"),
    [
        ("hopsworks_seed", "hopsworks_prototype_file"),
        ("freesound_ledger", "freesound_requests_file"),
    ],
)
def test_the_names_that_settings_had_before_are_still_read(monkeypatch, tmp_path, former, name):
    monkeypatch.delenv("EARMARK_FREESOUND_REQUESTS_FILE")
    monkeypatch.setenv(f"EARMARK_{former.upper()}", "somewhere/file")
    assert str(getattr(read_settings(), name)) == "somewhere/file"
    assert unknown_settings() == []
    monkeypatch.delenv(f"EARMARK_{former.upper()}")

    file = tmp_path / "secrets.toml"
    file.write_text(f'[earmark]\n{former} = "in/the/file"\n')
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    assert str(getattr(read_settings(), name)) == "in/the/file"
    assert unknown_settings() == []

    file.write_text(f'[earmark]\n{former} = "old"\n{name} = "new"\n')
    assert str(getattr(read_settings(), name)) == "new"


def test_the_log_level_may_be_written_in_any_case(monkeypatch):
    assert read_settings().log_level == "INFO"
    monkeypatch.setenv("EARMARK_LOG_LEVEL", "debug")
    assert read_settings().log_level == "DEBUG"


def test_every_secret_is_among_those_that_no_log_may_show(monkeypatch):
    names = [name for name in Settings.model_fields if name.endswith("_key")]
    for name in names:
        monkeypatch.setenv(f"EARMARK_{name.upper()}", f"secret of {name}")
    values = {secret.get_secret_value() for secret in read_settings().secrets}
    assert values == {f"secret of {name}" for name in names}


def test_every_setting_has_a_description_and_a_row_in_the_table():
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields) + 1  # and the file that they are read from
    for name, field in Settings.model_fields.items():
        assert field.description
        assert any(row.startswith(f"| `EARMARK_{name.upper()}` |") for row in rows)
    assert str(EXAMPLE_SOUNDS.parent) not in settings_table()


def test_the_example_of_a_secrets_file_names_settings_that_exist(monkeypatch, tmp_path):
    example = EXAMPLE_SOUNDS.parents[1] / ".streamlit" / "secrets.example.toml"
    lines = (line.removeprefix("# ") for line in example.read_text("utf-8").splitlines())
    entries = [line for line in lines if re.match(r"[a-z_]+ = ", line)]
    file = tmp_path / "secrets.toml"
    file.write_text("[earmark]\n" + "\n".join(entries))
    monkeypatch.setenv("EARMARK_SECRETS_FILE", str(file))
    assert read_settings().hopsworks_host
    assert unknown_settings() == []


def test_the_limit_of_samples_is_in_millions_and_follows_the_longest_sound_where_it_is_not_set(
    monkeypatch,
):
    assert AudioLimits.from_settings(read_settings()) == AudioLimits()
    monkeypatch.setenv("EARMARK_MAX_SECONDS", "7200")
    assert AudioLimits.from_settings(read_settings()).samples == 7200 * SAMPLES_PER_SECOND
    monkeypatch.setenv("EARMARK_MAX_SAMPLES", "2.5")
    assert AudioLimits.from_settings(read_settings()).samples == 2_500_000


def test_settings_load_nothing_heavy():
    heavy = {"numpy", "sqlalchemy", "torch", "streamlit", "requests", "core.audio.types"}
    assert modules_loaded_by("import core.settings", heavy) == set()
