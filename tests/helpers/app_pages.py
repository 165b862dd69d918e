"""Pages under Streamlit's AppTest: opening them, reading them, and playing the browser."""

import hashlib
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from app import state
from core.events.fold import SoundState
from core.events.query import Query
from core.events.types import new_event
from core.storage.local import open_local_workspace

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "app" / "main.py"
PAGES = ROOT / "pages"
BROWSER = "q" * 43
CALLBACK = "http://localhost:8501/auth/freesound/callback"
TIMEOUT_S = 60
TEXT_KINDS = (
    *("title", "header", "subheader", "caption", "markdown", "text"),
    *("info", "success", "warning", "error"),
)


def new_app() -> AppTest:
    """The app, not run yet."""
    return AppTest.from_file(str(MAIN), default_timeout=TIMEOUT_S)


def open_page(app: AppTest, name: str, **params: str) -> AppTest:
    """Open a page at an address with these parameters."""
    app.run()
    page = app.switch_page(str(PAGES / name))
    for parameter, value in params.items():
        page.query_params[parameter] = value
    page.run()
    assert not page.exception
    return page


def shown(app: AppTest) -> str:
    """All text on the page."""
    return "\n".join(element.value for kind in TEXT_KINDS for element in app.get(kind))


def button_keys(app: AppTest) -> list[str]:
    return [button.key for button in app.button if button.key]


def button_names(app: AppTest) -> set[str]:
    """The first words of the buttons' keys."""
    return {key.split("-")[0] for key in button_keys(app)}


def menus(app: AppTest) -> dict[str, list[str]]:
    """The entries of the cards' menus, by sound."""
    found = {menu.key: menu.options for menu in app.get("menu_button") if menu.key}
    return {key[5:]: options for key, options in found.items() if key.startswith("more-")}


def choose(app: AppTest, sound_id: str, entry: str) -> AppTest:
    """Choose an entry of a card's menu."""
    menu = next(menu for menu in app.get("menu_button") if menu.key == f"more-{sound_id}")
    menu.click(entry).run()
    assert not app.exception
    return app


def sounds(folder: Path, count: int = 50) -> list[SoundState]:
    """The newest sounds of a workspace."""
    return list(open_local_workspace(folder).sounds.page(Query(), size=count).sounds)


def describe_sounds(folder: Path, count: int = 10) -> None:
    """Add sounds that Freesound describes in full: uploader, license, tags, page, explicit."""
    workspace = open_local_workspace(folder)
    events = []
    for number, sound in enumerate(sounds(folder, count)):
        described = sound.sound.model_copy(
            update={
                "title": f"Field recording {number}",
                "source": "freesound",
                "author": "a-field-recordist",
                "license": "https://creativecommons.org/licenses/by/4.0/",
                "url": f"https://freesound.org/s/{9000 + number}/",
                "tags": ("rain", "dog", "field-recording"),
                "is_explicit": number == 1,
            }
        )
        payload = sound.prediction.payload.model_copy(update={"sound": described})
        events.append(new_event(payload, f"freesound:{9000 + number}", "job"))
    workspace.events.append(events)


def first_sound(folder: Path) -> SoundState:
    return sounds(folder, 1)[0]


def edit_chips(app: AppTest, sound: SoundState, tags: list[str]) -> None:
    """What the browser says when somebody has edited the chips of that sound."""
    edit = {"version": sound.last_event.event_id, "tags": tags}
    app.session_state[state.tag_editor_key(sound.sound_id)] = {"edit": edit}


def open_to_the_world(app: AppTest, monkeypatch: Any) -> AppTest:
    """The app on an address that others can reach, where only roles count."""
    from streamlit import config

    config.set_option("server.address", "0.0.0.0")
    monkeypatch.delenv("EARMARK_CURATOR")
    return app


class Clip:
    """A file that somebody tries on the page."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data

    @property
    def sha(self) -> str:
        return hashlib.sha256(self.name.encode() + self.data).hexdigest()

    def key(self, field: str) -> str:
        return state.publish_field(self.sha, field).key

    def open(self, app: AppTest) -> AppTest:
        """Upload it to the try page."""
        page = open_page(app, "try_your_sound.py")
        page.file_uploader(key="upload").upload(self.name, self.data).run()
        assert not page.exception
        return page


class NewSession:
    """The try page, loaded anew in the browser that AppTest plays."""

    def open(self) -> AppTest:
        return open_page(new_app(), "try_your_sound.py")

    def text(self) -> str:
        return shown(self.open())
