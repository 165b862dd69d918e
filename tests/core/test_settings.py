import pytest

from core.settings import EXAMPLE_SOUNDS, SettingsError, read_settings, unknown_settings


def test_without_any_setting_the_example_sounds_are_shown_from_a_workspace_of_their_own():
    chosen = read_settings()
    assert chosen.sounds_folder == EXAMPLE_SOUNDS
    assert chosen.workspace_folder.name == "examples"


def test_each_folder_of_sounds_has_a_workspace_of_its_own(monkeypatch, tmp_path):
    folders = set()
    for name in ("one/sounds", "two/sounds"):
        monkeypatch.setenv("EARMARK_SOUNDS", str(tmp_path / name))
        folders.add(read_settings().workspace_folder)
    assert len(folders) == 2


def test_a_workspace_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("EARMARK_WORKSPACE", str(tmp_path / "w"))
    assert read_settings().workspace_folder == tmp_path / "w"


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


def test_an_empty_or_misspelt_name_in_the_secrets_file_is_not_a_folder_and_not_overlooked(monkeypatch, tmp_path):
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
    for address in ("http://localhost:8501", "http://127.0.0.1:8501/", "https://earmark.example.org"):
        monkeypatch.setenv("EARMARK_PUBLIC_URL", address)
        assert read_settings().public_url == address.rstrip("/")
