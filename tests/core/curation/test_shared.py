"""Curation in a shared workspace: an edit on one machine is seen and taken back on another."""

import pytest

from core.curation.bulk import CHUNK_SIZE, BulkAction, apply_bulk, plan_bulk, undo_batch
from core.curation.opening import open_curation
from core.events.query import Query
from core.storage.hopsworks import client
from tests.helpers.events import predicted
from tests.helpers.shared_workspace import open_shared
from tests.servers.hopsworks import HopsworksServer

SOUNDS = 2 * CHUNK_SIZE


@pytest.fixture(scope="module")
def server():
    with HopsworksServer() as server:
        yield server
        client.disconnect()
        assert server.errors == []


def test_an_edit_of_many_sounds_is_taken_back_on_another_machine(server, tmp_path):
    ada, ben = (open_shared(server, tmp_path / name) for name in ("ada", "ben"))
    ada.events.append([predicted(number) for number in range(1, SOUNDS + 1)])
    plan = plan_bulk(ada, Query(), BulkAction("replace", ("dog",), "wolf"))
    assert apply_bulk(ada, open_curation(ada).reviews, plan, "ada").changed == SOUNDS
    ada.sync.push()
    ben.sync.pull()
    reviews = open_curation(ben).reviews
    assert reviews.totals("ada").corrections == 2 * SOUNDS
    assert undo_batch(ben, reviews, plan.batch, "ben").changed == SOUNDS
    ben.sync.push()
    ada.sync.pull()
    assert {state.tags for state in ada.sounds.all()} == {("dog", "bark")}
    assert open_curation(ada).reviews.totals("ada").reviews == 0
