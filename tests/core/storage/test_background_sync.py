import threading

from core.events.query import Query
from core.storage.background_sync import THREAD_NAME, BackgroundSync
from core.storage.local import open_local_workspace
from tests.helpers.events import predicted, reviewed
from tests.helpers.shared_workspace import put_event_file


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def test_it_sends_at_once_and_takes_over_what_others_send(shared, until):
    ada, ben = shared("ada"), shared("ben")
    with BackgroundSync(ada, interval_s=0.05), BackgroundSync(ben, interval_s=0.05):
        first = predicted(1)
        ada.events.append([first])
        until(lambda: ben.sounds.get("freesound:1"))
        ben.events.append([reviewed([first], ["howl"])])
        until(lambda: ada.sounds.get("freesound:1").tags == ("howl",))
        assert len(background_threads()) == 2
    assert ada.sync.status().waiting == ben.sync.status().waiting == 0
    assert background_threads() == []


def test_hopsworks_away_at_the_start_and_in_the_middle_of_an_edit(server, shared, until):
    first = predicted(1)
    put_event_file(server, first)
    shared("ada").sync.pull()
    server.go_offline()
    ada = shared("ada")
    change = reviewed([first], ["howl"])
    with BackgroundSync(ada, interval_s=0.05):
        page = ada.sounds.page(Query(), size=10)
        assert [state.sound_id for state in page.sounds] == ["freesound:1"]
        ada.events.append([change])
        assert ada.sounds.get("freesound:1").tags == ("howl",)
        until(lambda: ada.sync.status().problem)
        assert ada.sync.waiting([change.event_id]) == {change.event_id}
        assert ada.sync.status().problem.endswith("cannot be reached.")
        server.go_online()
        until(lambda: not ada.sync.waiting([change.event_id]))
        until(lambda: not ada.sync.status().problem)
    ben = shared("ben")
    ben.sync.pull()
    assert ben.sounds.get("freesound:1").tags == ("howl",)


def test_it_has_nothing_to_do_for_a_local_workspace(tmp_path):
    with BackgroundSync(open_local_workspace(tmp_path)) as sync:
        assert not sync.is_running
        assert background_threads() == []


def test_a_bug_does_not_end_the_thread(shared, monkeypatch, caplog, until):
    monkeypatch.setattr("core.storage.background_sync.MAX_POLL_INTERVAL_S", 0.01)
    ada = shared("ada")

    def fail():
        raise RuntimeError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(ada.sync, "push", fail)
        with BackgroundSync(ada, interval_s=0.01) as sync:
            until(lambda: caplog.text.count("sync round failed") > 1)
            assert sync.is_running
            broken.undo()
            ada.events.append([predicted(1)])
            until(lambda: ada.sync.status().waiting == 0)
