"""The Model view in a real browser: charts, a table that is searched and sorted, errors to hear."""

import json
import shutil

import pytest

from core.events.types import new_event
from core.model import bundle as bundles
from core.storage.active_model import resolve_model
from core.storage.local import open_local_workspace
from tests.app.test_metrics_model import EVERYTHING
from tests.helpers.app_browser import TIMEOUT_MS, Watcher
from tests.helpers.app_pages import first_sound
from tests.helpers.app_server import Server

pytestmark = pytest.mark.browser


def register_everything(folder, tmp_path):
    """Register a version with everything recorded; returns it."""
    workspace = open_local_workspace(folder)
    resolve_model(workspace)
    shutil.copytree(bundles.DEFAULT_BUNDLE, tmp_path / "bundle")
    path = tmp_path / "bundle" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | EVERYTHING))
    return workspace.models.register(bundles.load(tmp_path / "bundle"))


@pytest.fixture
def opened(chromium):
    """Open an address of a server; returns the page."""
    contexts = []

    def opened(server, path):
        context = chromium.new_context(viewport={"width": 1400, "height": 1000})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.watcher = Watcher(page)
        page.goto(f"{server.url}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def empty(tmp_path):
    running = Server(tmp_path / "empty")
    yield running
    running.stop()


def names(page):
    """The rows of the table of tags, from above."""
    return page.locator("[class*='st-key-table-tall-tag-table'] tbody th").all_inner_texts()


def test_in_an_empty_workspace_the_whole_view_is_there_and_nothing_leaves_the_machine(
    empty, opened
):
    page = opened(empty, "/metrics")
    charts = page.locator("[class*='st-key-chart-'] svg")
    charts.nth(2).locator("path.line").first.wait_for()
    page.get_by_role("button", name="dog", exact=True).first.wait_for()
    assert all(chart.get_attribute("aria-label") for chart in charts.all())
    assert page.watcher.foreign == []
    assert page.watcher.problems == []


def test_tags_are_searched_and_sorted_and_one_opens_in_the_address(empty, opened):
    from playwright.sync_api import expect

    page = opened(empty, "/metrics")
    page.get_by_role("button", name="dog", exact=True).first.wait_for()
    assert names(page)[0] != "baby"  # the worst is first
    scores = page.get_by_role("region", name="Per-tag scores")
    scores.get_by_role("button", name="Tag", exact=True).click()
    assert names(page) == sorted(names(page))
    page.get_by_role("searchbox", name="Search").first.fill("ra")
    expect(scores.get_by_role("button", name="dog", exact=True)).to_have_count(0)
    scores.get_by_role("button", name="rain", exact=True).click()
    page.wait_for_url("**/metrics?**tag=rain")
    page.get_by_role("heading", name="rain", exact=True).wait_for()
    page.go_back()
    page.get_by_role("button", name="dog", exact=True).first.wait_for()


def test_the_numbers_of_a_chart_are_there_as_a_table(empty, opened):
    page = opened(empty, "/metrics")
    chart = page.locator("[class*='st-key-chart-calibration']")
    chart.get_by_text("Numbers").click()
    row = chart.locator("tbody tr").first
    row.wait_for()
    assert "%" in row.inner_text()


def test_the_text_of_a_chart_has_one_size_at_every_width(empty, opened):
    page = opened(empty, "/metrics")
    charts = page.locator("[class*='st-key-chart-'] svg")
    charts.nth(2).locator("path.line").first.wait_for()
    for width in (1440, 800, 420):
        page.set_viewport_size({"width": width, "height": 900})
        for chart in charts.all():
            page.wait_for_function(
                "chart => Math.abs(chart.getScreenCTM().a - 1) < 0.02", arg=chart.element_handle()
            )


def test_an_error_plays_from_the_workspace_where_the_sound_is(own_workspace, tmp_path, opened):
    model = register_everything(own_workspace, tmp_path)
    workspace = open_local_workspace(own_workspace)
    known = first_sound(own_workspace)
    workspace.events.append([new_event(known.prediction.payload, "freesound:123", "job")])
    server = Server(own_workspace)
    try:
        page = opened(server, f"/metrics?version={model}&tag=rain")
        audio = page.locator("[class*='st-key-example-wrong-0'] audio")
        audio.wait_for()
        assert audio.get_attribute("src").endswith(known.media.audio)
        assert audio.get_attribute("preload") == "none"
        length = audio.evaluate(
            "async sound => { sound.load(); await new Promise(done => {"
            " sound.onloadedmetadata = done; sound.preload = 'auto'; sound.load() });"
            " return sound.duration }"
        )
        assert length > 0
        assert page.watcher.foreign == []
    finally:
        server.stop()
