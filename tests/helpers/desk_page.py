"""Review mode in a real browser, with a connection to the server that can be held."""

import re

from playwright.sync_api import expect

from tests.helpers.app_browser import TIMEOUT_MS, Watcher


class Desk:
    """A browser page with review mode open."""

    def __init__(
        self, chromium, url: str, width: int = 1440, height: int = 900, address: str = ""
    ) -> None:
        self.context = chromium.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.page.set_default_timeout(TIMEOUT_MS)
        self.watcher = Watcher(self.page)
        self.held: list[object] | None = None
        self.page.route_web_socket(re.compile("/_stcore/stream"), self._relay)
        self.url = f"{url}/?mode=review{address}"
        self.open()

    def _relay(self, socket) -> None:
        """Pass messages to the server on, unless they are held."""
        server = socket.connect_to_server()

        def send(message) -> None:
            if self.held is None:
                server.send(message)
            else:
                self.held.append(lambda: server.send(message))

        socket.on_message(send)

    def open(self) -> None:
        self.page.goto(self.url)
        expect(self.title).not_to_be_empty()

    def hold_server(self) -> None:
        """Let nothing reach the server from now on, neither messages nor requests for files."""
        self.held = []
        self.page.route("**/*", lambda route: route.abort())

    def release_server(self) -> None:
        held, self.held = self.held, None
        self.page.unroute("**/*")
        for send in held:
            send()

    def find(self, selector: str, **options):
        return self.page.locator(f".desk {selector}", **options)

    @property
    def title(self):
        return self.find(".title")

    @property
    def pending(self):
        return self.find(".pending")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def review(self, sound, *keys: str) -> None:
        """Wait for a sound and press keys; a longer text is typed."""
        self.expect_title(sound.sound.title)
        for key in keys:
            is_name = len(key) == 1 or key in ("Enter", "Escape")
            self.press(key) if is_name else self.type(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def expect_saved(self) -> None:
        expect(self.pending).to_be_hidden()

    def expect_title(self, title: str) -> None:
        expect(self.title).to_have_text(title)

    def next_titles(self) -> list[str]:
        return self.find(".queue .name").all_text_contents()

    def close(self) -> None:
        self.context.close()
        assert self.watcher.foreign == []
        assert self.watcher.problems == []
