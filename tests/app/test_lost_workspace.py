"""Pages and saves of a workspace that goes away, or is damaged, while the app runs."""

import shutil
import sqlite3
from contextlib import closing

import pytest

from core.storage.folder import DATABASE_NAME
from tests.helpers.app_pages import button_keys, new_app, open_page, shown

PAGES = ("monitor.py", "try_your_sound.py", "batch.py", "metrics.py")


def damage(folder):
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / DATABASE_NAME
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xfa" * (path.stat().st_size - 4096))
    for ending in ("-wal", "-shm"):
        path.with_name(DATABASE_NAME + ending).unlink(missing_ok=True)


def drop_tables(folder):
    with closing(sqlite3.connect(folder / DATABASE_NAME)) as connection, connection:
        for table in ("counters", "columns", "events", "runs"):
            connection.execute(f"DROP TABLE {table}")


LOSSES = {"removed": shutil.rmtree, "damaged": damage, "without tables": drop_tables}


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_page_says_one_sentence(app, own_workspace, loss):
    app.run()
    LOSSES[loss](own_workspace)
    for page in PAGES:
        opened = open_page(new_app(), page)
        assert not opened.exception, page
        assert "Traceback" not in shown(opened)


def test_a_save_into_a_workspace_that_is_gone_says_so(app, own_workspace):
    app.run()
    key = next(key for key in button_keys(app) if key.startswith("confirm-"))
    elsewhere = own_workspace.with_name("elsewhere")
    own_workspace.rename(elsewhere)
    app.button(key=key).click().run()
    assert not app.exception
    errors = [error.value for error in app.error]
    assert any("was removed or replaced" in error for error in errors)
    assert not (own_workspace / DATABASE_NAME).exists()
    elsewhere.rename(own_workspace)
    app.run()
    assert not app.error
    assert key in button_keys(app)
