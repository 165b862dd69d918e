"""Somebody at a browser without JavaScript, who signs in at the double and agrees, or does not."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

TIMEOUT_S = 10


class _Form(HTMLParser):
    """The address and the hidden fields of a page's form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the form's address and its hidden fields."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = attributes.get("action", "")
        if tag == "input" and attributes.get("type") == "hidden":
            self.fields[attributes["name"]] = attributes.get("value", "")


def consent(url: str, username: str, *, agree: bool = True) -> str:
    """Follow an authorization address to its end.

    Args:
        url: The address that the app sends the browser to.
        username: Who logs in; the password is the name.
        agree: Allow the app to act for the person, or deny it.

    Returns:
        The address that Freesound sends the browser to at last: the app's callback.
    """
    host = urlsplit(url).netloc
    with requests.Session() as browser:
        answer = browser.get(url, allow_redirects=False, timeout=TIMEOUT_S)
        while True:
            while answer.is_redirect:
                url = urljoin(answer.url, answer.headers["Location"])
                parts = urlsplit(url)
                if parts.netloc != host or not parts.path.startswith("/apiv2/"):
                    return url
                answer = browser.get(url, allow_redirects=False, timeout=TIMEOUT_S)
            answer = browser.post(
                urljoin(answer.url, _Form(answer.text).action),
                _filled(answer.text, username, agree),
                allow_redirects=False,
                timeout=TIMEOUT_S,
            )


def _filled(page: str, username: str, agree: bool) -> dict[str, str]:
    """Return what the person sends with the form of the login or the consent page."""
    hidden = _Form(page).fields
    assert hidden, page
    if "password" in page:
        return hidden | {"username": username, "password": username}
    return hidden | ({"allow": "Authorize!"} if agree else {})


def parameters(url: str) -> dict[str, str]:
    """Return the query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
