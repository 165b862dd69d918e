"""Streamlit's page comes with the app's name and styles, whole, at every address."""

import urllib.error
import urllib.request

import pytest

from app.index_page import STYLES
from tests.helpers.app_browser import TIMEOUT_MS

SHIFTS = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) layoutShift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
POOR = 0.25
"""Cumulative layout shift from which it counts as poor (web.dev/articles/cls)."""


def test_every_page_has_the_apps_name_and_styles_before_any_script_runs(server):
    for path in ("/", "/try", "/metrics?view=jobs"):
        headers = {"Accept": "text/html", "Accept-Encoding": "gzip", "If-None-Match": '"0"'}
        request = urllib.request.Request(server.url + path, headers=headers)
        with urllib.request.urlopen(request) as response:
            text = response.read().decode()
            assert int(response.headers["Content-Length"]) == len(text.encode())
        assert "<title>Earmark</title>" in text
        assert STYLES.read_text("utf-8") in text
        assert text.rstrip().endswith("</html>")


def test_a_browser_that_has_the_page_is_told_so(server):
    headers = {"Accept": "text/html"}
    with urllib.request.urlopen(urllib.request.Request(server.url, headers=headers)) as response:
        headers["If-None-Match"] = response.headers["ETag"]
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(urllib.request.Request(server.url, headers=headers))
    assert answer.value.code == 304
    assert answer.value.read() == b""


def test_scripts_and_media_are_sent_as_they_are(server):
    with urllib.request.urlopen(server.url + "/_stcore/health") as response:
        assert response.read() == b"ok"
    request = urllib.request.Request(server.url + "/favicon.png", headers={"Range": "bytes=0-3"})
    with urllib.request.urlopen(request) as response:
        assert (response.status, response.read()) == (206, b"\x89PNG")


@pytest.mark.browser
@pytest.mark.parametrize("width", [420, 1400])
def test_what_is_there_stays_where_it_is_while_a_page_loads(chromium, server, width):
    context = chromium.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.add_init_script(SHIFTS)
    try:
        for path, last in (("/", ".player"), ("/metrics?view=feedback", ".st-key-drift-table")):
            page.goto(server.url + path)
            page.locator(last).last.wait_for()
            page.wait_for_load_state("networkidle")
            assert page.evaluate("layoutShift") < POOR, path
    finally:
        context.close()
