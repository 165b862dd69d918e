"""Somebody at a browser without JavaScript, who signs in at the Freesound double and agrees, or does not."""

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

import requests


class _Form(HTMLParser):
    """The hidden fields of a page's form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action, self.fields = "", {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.action = given.get("action") or ""
        if tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"]] = given.get("value") or ""


def consent(url: str, username: str, *, agree: bool = True) -> str:
    """Follow an authorization address to the end as `username` (whose password is the name); returns where Freesound sends the browser
    at last: the app's callback."""
    with requests.Session() as browser:
        answer, home = browser.get(url, allow_redirects=False, timeout=10), urlsplit(url).netloc
        while True:
            while answer.is_redirect:
                url = urljoin(answer.url, answer.headers["Location"])
                if urlsplit(url).netloc != home or not urlsplit(url).path.startswith("/apiv2/"):
                    return url
                answer = browser.get(url, allow_redirects=False, timeout=10)
            form = _Form(answer.text)
            assert form.fields, answer.text
            at_login = "password" in answer.text
            filled = {"username": username, "password": username} if at_login else ({"allow": "Authorize!"} if agree else {})
            answer = browser.post(urljoin(answer.url, form.action), form.fields | filled, allow_redirects=False, timeout=10)


def parameters(url: str) -> dict[str, str]:
    """The query of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
