"""The double as the real hopsworks client sees it."""

import os
import ssl
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.faults import Drop
from tests.servers.hopsworks import HopsworksServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running() -> Iterator[HopsworksServer]:
    with HopsworksServer() as server:
        yield server
        assert server.errors == []


@pytest.fixture(scope="module")
def project(running: HopsworksServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import hopsworks

    project = hopsworks.login(
        host=running.host,
        port=running.port,
        project=running.project,
        api_key_value=running.key,
        engine="python",
        hostname_verification=True,
        trust_store_path=str(running.certificate),
        cert_folder=str(tmp_path_factory.mktemp("certificates")),
    )
    yield project
    hopsworks.logout()


@pytest.fixture
def server(running: HopsworksServer) -> Iterator[HopsworksServer]:
    yield running
    running.heal()
    running.store.full, running.store.merge_delay_s = False, 0.0


@pytest.fixture
def datasets(project: Any, server: HopsworksServer, tmp_path: Path) -> Any:
    """The dataset API and an empty folder of its own."""
    api = project.get_dataset_api()
    api.mkdir(f"Resources/{tmp_path.name}")
    api.place = f"Resources/{tmp_path.name}"
    return api


def refusal(call: Callable[..., object], *arguments: Any, **more: Any) -> tuple[int, int | None]:
    """Status and error code of the client's error."""
    from hopsworks_common.client.exceptions import RestAPIError

    with pytest.raises(RestAPIError) as caught:
        call(*arguments, **more)
    return caught.value.response.status_code, caught.value.error_code


def local_file(tmp_path: Path, data: bytes = b"hello", name: str = "a file.txt") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(("size", "chunk"), [(0, 100), (5, 100), (1000, 90)])
def test_files_go_up_in_chunks_and_come_back_the_same(
    datasets: Any, tmp_path: Path, size: int, chunk: int
) -> None:
    data = os.urandom(size)
    datasets.upload(local_file(tmp_path, data, "ü #1 50%.bin"), datasets.place, chunk_size=chunk)
    path = f"{datasets.place}/ü #1 50%.bin"
    assert datasets.exists(path)
    assert datasets.read_content("/" + path).content == data
    assert Path(datasets.download(path, str(tmp_path / "back"))).read_bytes() == data
    assert datasets.list(datasets.place) == [f"/{path}"]


def test_a_file_is_not_overwritten(datasets: Any, server: HopsworksServer, tmp_path: Path) -> None:
    from hopsworks_common.client.exceptions import DatasetException

    path = local_file(tmp_path)
    datasets.upload(path, datasets.place)
    with pytest.raises(DatasetException, match="already exists"):
        datasets.upload(path, datasets.place)
    server.fail("dataset/", method="GET", status=503)  # exists() takes this for "no"
    assert refusal(datasets.upload, path, datasets.place, max_chunk_retries=0) == (400, 110012)


def test_overwriting_deletes_first(datasets: Any, server: HopsworksServer, tmp_path: Path) -> None:
    path = local_file(tmp_path)
    datasets.upload(path, datasets.place)
    server.fail("dataset/upload/", None, status=503)
    refusal(datasets.upload, path, datasets.place, overwrite=True, max_chunk_retries=0)
    assert not datasets.exists(f"{datasets.place}/a file.txt")


def test_missing_things_are_error_400_with_their_codes(datasets: Any, tmp_path: Path) -> None:
    assert refusal(datasets.list, "Nowhere") == (400, 110011)
    assert refusal(datasets.list, f"{datasets.place}/nothing") == (400, 110018)
    assert refusal(datasets.read_content, f"/{datasets.place}/nothing") == (400, 110018)
    assert refusal(
        datasets.upload, local_file(tmp_path), f"{datasets.place}/nothing", max_chunk_retries=0
    ) == (400, 110018)
    assert refusal(datasets.mkdir, datasets.place) == (400, 110047)
    assert refusal(datasets.mkdir, f"{datasets.place}/a/b") == (422, 120001)
    for name in ("a~1", "a__b", "a:b", "x" * 89, "a."):
        assert refusal(datasets.mkdir, f"{datasets.place}/{name}")[0] == 400
    datasets.remove(f"{datasets.place}/nothing")


def test_lists_stop_at_their_limit_and_go_on_from_an_offset(
    datasets: Any, server: HopsworksServer
) -> None:
    for number in range(1203):
        server.store.put(f"{datasets.place}/many/{number}", b"x")
    first = datasets.list(f"{datasets.place}/many")
    second = datasets.list(f"{datasets.place}/many", offset=1000)
    assert (len(first), len(second)) == (1000, 203)
    assert [int(path.rsplit("/")[-1]) for path in first + second] == list(range(1203))
    assert datasets.list(f"{datasets.place}/many", offset=2000) == []


def test_an_unfinished_upload_is_seen_by_readers(
    datasets: Any, server: HopsworksServer, tmp_path: Path
) -> None:
    folder = datasets.place
    fields = {
        "flowFilename": "torn",
        "flowTotalSize": "10",
        "flowCurrentChunkSize": "5",
        "flowIdentifier": "10_torn",
    }
    server.store.chunk(folder, fields | {"flowChunkNumber": "1"}, b"hello")
    assert sorted(datasets.list(folder)) == [f"/{folder}/torn", f"/{folder}/torn.temp"]
    assert datasets.read_content(f"/{folder}/torn").content == b""
    server.store.chunk(folder, fields | {"flowChunkNumber": "2"}, b"world")
    assert datasets.list(folder) == [f"/{folder}/torn"]
    assert datasets.read_content(f"/{folder}/torn").content == b"helloworld"


def test_copy_and_move(datasets: Any, server: HopsworksServer, tmp_path: Path) -> None:
    datasets.upload(local_file(tmp_path), datasets.place)
    datasets.copy(f"{datasets.place}/a file.txt", f"{datasets.place}/b")
    datasets.move(f"/Projects/demo/{datasets.place}/b", f"{datasets.place}/c")
    assert server.store.files(datasets.place) == {"a file.txt": b"hello", "c": b"hello"}


def test_full_storage(datasets: Any, server: HopsworksServer, tmp_path: Path) -> None:
    from hopsworks_common.client.exceptions import DatasetException

    server.store.full = True
    with pytest.raises(DatasetException, match="storage is full"):
        datasets.upload(local_file(tmp_path), datasets.place)


def test_a_dropped_answer_means_done_or_not(
    datasets: Any, server: HopsworksServer, tmp_path: Path
) -> None:
    outcomes: tuple[tuple[Drop, bool], ...] = (("before", False), ("after", True))
    for drop, stored in outcomes:
        server.fail("dataset/upload/", drop=drop)
        with pytest.raises(requests.exceptions.ConnectionError):
            datasets.upload(local_file(tmp_path, name=drop), datasets.place)
        assert datasets.exists(f"{datasets.place}/{drop}") is stored


def test_a_short_download_is_taken_for_whole_by_the_client(
    datasets: Any, server: HopsworksServer, tmp_path: Path
) -> None:
    datasets.upload(local_file(tmp_path), datasets.place)
    server.fail("with_auth", truncate=2)
    assert datasets.read_content(f"/{datasets.place}/a file.txt").content == b"he"


def test_html_answers(datasets: Any, server: HopsworksServer) -> None:
    server.fail("dataset/", status=502)
    assert refusal(datasets.list, datasets.place) == (502, None)
    server.fail("dataset/", status=200, body=b"<html>Log in</html>", content_type="text/html")
    with pytest.raises(requests.exceptions.JSONDecodeError):
        datasets.list(datasets.place)


def test_offline_means_connection_refused_and_online_is_as_before(
    datasets: Any, server: HopsworksServer
) -> None:
    server.go_offline()
    with pytest.raises(requests.exceptions.ConnectionError):
        datasets.list(datasets.place)
    server.go_online()
    assert datasets.list(datasets.place) == []


def test_an_unknown_key_is_refused(server: HopsworksServer) -> None:
    answer = requests.get(
        f"https://localhost:{server.port}/hopsworks-api/api/project",
        headers={"Authorization": "ApiKey wrong"},
        verify=str(server.certificate),
        timeout=10,
    )
    assert (answer.status_code, answer.json()["errorCode"]) == (401, 320002)


def test_a_client_that_does_not_trust_the_certificate_holds_up_nobody(
    server: HopsworksServer, datasets: Any
) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"https://localhost:{server.port}/", timeout=10)
    assert datasets.list(datasets.place) == []
    assert "BEGIN CERTIFICATE" in ssl.get_server_certificate(("localhost", server.port))


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """save() sleeps five seconds before it looks for the model that it registered."""
    from hsml.engine import model_engine

    monkeypatch.setattr(model_engine, "time", types.SimpleNamespace(sleep=lambda seconds: None))


def test_models_are_registered_listed_downloaded_and_deleted(
    project: Any, server: HopsworksServer, tmp_path: Path, no_waiting: None
) -> None:
    registry = project.get_model_registry()
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "weights").write_bytes(b"w" * 100)
    server.store.registration_delay = 2
    for score in (0.5, 0.7):
        registry.python.create_model(
            "cnn", metrics={"pr_auc_macro": score}, description="A model"
        ).save(str(folder))
    server.store.registration_delay = 0
    models = registry.get_models("cnn")
    assert [(model.version, model.training_metrics, model.description) for model in models] == [
        (1, {"pr_auc_macro": 0.5}, "A model"),
        (2, {"pr_auc_macro": 0.7}, "A model"),
    ]
    assert registry.get_best_model("cnn", "pr_auc_macro", "max").version == 2
    assert registry.get_model("cnn", 3) is None
    assert registry.get_models("other") == []
    downloaded = registry.get_model("cnn", 2).download(str(tmp_path / "back"))
    assert (Path(downloaded) / "weights").read_bytes() == b"w" * 100
    models[0].delete()
    assert [model.version for model in registry.get_models("cnn")] == [2]
    assert list(server.store.files("Models/cnn")) == ["2/Files/weights"]


def test_random_faults_come_as_often_as_asked_and_the_same_each_time(
    server: HopsworksServer, datasets: Any
) -> None:
    counts = []
    for _ in range(2):
        trouble = server.chaos(7, unavailable=0.3)
        answers = [datasets.exists(datasets.place) for _ in range(60)]
        counts.append((answers, dict(trouble.done)))
    assert counts[0] == counts[1]
    assert 5 < counts[0][1]["503"] < 35


def test_the_log_holds_no_key_and_hooks_see_each_request(
    server: HopsworksServer, datasets: Any
) -> None:
    seen = []
    server.before = lambda request: seen.append(request.path)
    datasets.exists(datasets.place)
    server.before = lambda request: None
    assert seen == [f"project/119/dataset/{datasets.place}"]
    assert server.key not in repr(server.requests)


def test_many_threads_are_served_at_once(server: HopsworksServer, datasets: Any) -> None:
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(datasets.exists(datasets.place)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 20
