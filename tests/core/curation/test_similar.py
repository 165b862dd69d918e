"""Similar sounds: the nearest embeddings, by an index that is extended and survives damage."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from core.curation import vector_index
from core.curation.opening import open_curation
from core.curation.vector_index import Manifest, VectorIndex
from core.events.types import Withdrawn, new_event
from core.work import WorkStopped
from tests.helpers.events import V1, V2, predicted

SIZE = 8


def embedding(number, model=V1):
    return np.random.default_rng([number, model.version]).standard_normal(SIZE).astype(np.float32)


@pytest.fixture
def put(workspace):
    """Adds predicted sounds with their sidecars."""

    def put(*numbers, model=V1):
        for number in numbers:
            arrays = {"embedding": embedding(number, model)}
            workspace.sidecars.put(f"freesound:{number}", model, arrays)
        workspace.events.append([predicted(number, model=model) for number in numbers])

    return put


def expected(number, others, limit, model=V1):
    """The nearest sounds by comparison with each."""

    def unit(each):
        vector = embedding(each, model).astype(np.float16).astype(np.float32)
        return vector / np.linalg.norm(vector)

    cosines = {other: float(unit(number) @ unit(other)) for other in others if other != number}
    return sorted(cosines.items(), key=lambda item: -item[1])[:limit]


def nearest(curation, number, limit=5, model=V1):
    neighbours = curation.similar.nearest(f"freesound:{number}", model, limit)
    return [(int(each.state.sound_id[10:]), each.similarity) for each in neighbours]


def same(actual, wanted_pairs):
    assert [number for number, _ in actual] == [number for number, _ in wanted_pairs]
    assert [each for _, each in actual] == pytest.approx(
        [each for _, each in wanted_pairs], abs=1e-3
    )


def test_the_nearest_sounds_are_those_that_a_comparison_with_each_gives(curation, put):
    put(*range(1, 60))
    assert curation.similar.extend(V1) == 59
    for number in (1, 20, 59):
        same(nearest(curation, number), expected(number, range(1, 60), 5))


def test_the_index_is_extended_by_what_is_new_and_kept_over_a_restart(workspace, curation, put):
    put(*range(1, 20))
    assert curation.similar.extend(V1) == 19
    assert curation.similar.extend(V1) == 0
    put(*range(20, 30))
    again = open_curation(workspace)
    same(nearest(again, 3), expected(3, range(1, 20), 5))
    assert again.similar.extend(V1) == 10
    same(nearest(curation, 3), expected(3, range(1, 30), 5))


def test_model_versions_are_not_compared_with_each_other(curation, put):
    put(*range(1, 10))
    put(*range(5, 15), model=V2)
    assert (curation.similar.extend(V1), curation.similar.extend(V2)) == (9, 10)
    same(nearest(curation, 6, 20), expected(6, range(1, 10), 20))
    same(nearest(curation, 6, 20, V2), expected(6, range(5, 15), 20, V2))
    assert nearest(curation, 1, 5, V2) == []


def test_withdrawn_sounds_are_nobody_s_neighbours_and_leave_the_index(workspace, curation, put):
    put(*range(1, 12))
    curation.similar.extend(V1)
    for number in (2, 3):
        last = workspace.sounds.get(f"freesound:{number}").last_event
        gone = new_event(Withdrawn(reason="gone"), f"freesound:{number}", "ada", base=last)
        workspace.events.append([gone])
    left = [number for number in range(1, 12) if number not in (2, 3)]
    same(nearest(curation, 1, 20), expected(1, left, 20))
    curation.similar.extend(V1)
    index = VectorIndex(workspace.folder / "similar" / "cnn-1")
    ids = {match.sound_id for match in index.nearest(embedding(1), 100)}
    assert ids == {f"freesound:{number}" for number in left}


def test_a_stop_keeps_what_was_done(curation, put, monkeypatch):
    monkeypatch.setattr("core.curation.similar.BATCH_SIZE", 4)
    put(*range(1, 11))
    calls = iter([1, 1])

    def checkpoint():
        if next(calls, None) is None:
            raise WorkStopped("enough")

    assert curation.similar.extend(V1, checkpoint) == 8
    assert curation.similar.extend(V1) == 2
    same(nearest(curation, 1, 20), expected(1, range(1, 11), 20))


def test_a_sound_whose_sidecar_comes_later_is_looked_for_again(workspace, curation, put):
    put(1, 2)
    workspace.events.append([predicted(3)])
    assert curation.similar.extend(V1) == 2
    workspace.sidecars.put("freesound:3", V1, {"embedding": embedding(3)})
    put(4)
    assert curation.similar.extend(V1) == 2
    same(nearest(curation, 1), expected(1, range(1, 5), 5))


@pytest.mark.parametrize(
    "broken",
    [
        {"embedding": np.zeros(SIZE + 1, np.float32)},
        {"embedding": np.zeros((2, 2), np.float32)},
        {"embedding": np.full(SIZE, np.nan, np.float32)},
        {"activations": np.zeros(3, np.float32)},
    ],
)
def test_a_damaged_embedding_harms_no_other_sound(workspace, curation, put, broken):
    workspace.sidecars.put("freesound:99", V1, broken)
    workspace.events.append([predicted(99)])
    put(*range(1, 8))
    curation.similar.extend(V1)
    others = [pair for pair in nearest(curation, 1, 20) if pair[0] != 99]
    same(others, expected(1, range(1, 8), 20))


@pytest.mark.parametrize("damage", ["index.json", "*.npy", "*.ids.npy"])
@pytest.mark.parametrize("content", [None, b"", b"\x93NUMPY nonsense"])
def test_a_damaged_index_is_made_anew(workspace, curation, put, damage, content):
    put(*range(1, 8))
    curation.similar.extend(V1)
    for path in (workspace.folder / "similar" / "cnn-1").glob(damage):
        path.unlink() if content is None else path.write_bytes(content)
    again = open_curation(workspace)
    assert nearest(again, 1) == []
    assert again.similar.extend(V1) == 7
    same(nearest(again, 1), expected(1, range(1, 8), 5))


def test_a_sound_without_an_embedding_has_no_neighbours(workspace, curation, put):
    put(1)
    workspace.events.append([predicted(2)])
    curation.similar.extend(V1)
    assert nearest(curation, 2) == []
    assert nearest(curation, 1) == []
    assert nearest(curation, 404) == []


def test_segments_are_filled_and_unused_files_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_index, "SEGMENT_ROWS", 10)
    monkeypatch.setattr(vector_index, "UNUSED_AFTER_S", -1)
    index, manifest = VectorIndex(tmp_path), Manifest()
    vectors = np.stack([embedding(number) for number in range(25)])
    for start, end in ((0, 4), (4, 8), (8, 22), (22, 25)):
        ids = [f"freesound:{number + 1}" for number in range(start, end)]
        manifest = index.add(ids, vectors[start:end], manifest)
    assert len(manifest.segments) == 3
    assert len(list(tmp_path.glob("*.npy"))) == 6
    matches = VectorIndex(tmp_path).nearest(vectors[11], 30)
    assert (len(matches), matches[0].sound_id) == (25, "freesound:12")
    manifest = index.remove([f"freesound:{number}" for number in range(1, 11)], manifest)
    assert len(manifest.segments) == 2
    assert len(index.nearest(vectors[0], 30)) == 15


def test_many_threads_may_ask_and_extend_at_once(workspace, curation, put):
    put(*range(1, 120))

    def work(number):
        curation.similar.extend(V1)
        return nearest(curation, number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(1, 65)))
    curation.similar.extend(V1)
    for number in (1, 64):
        same(nearest(curation, number), expected(number, range(1, 120), 5))


def test_the_index_is_brought_up_to_date_in_the_background(workspace, curation, put):
    put(*range(1, 20))
    assert curation.similar.bring_up_to_date(V1, seconds=60) is True
    same(nearest(curation, 3), expected(3, range(1, 20), 5))
    assert curation.similar.extend(V1) == 0


def test_an_index_that_cannot_be_written_leaves_a_line_in_the_log(workspace, curation, put, caplog):
    put(1, 2)
    (workspace.folder / "similar").write_text("in the way")
    assert curation.similar.bring_up_to_date(V1, seconds=60) is True
    assert "similar sounds not indexed model=cnn v1" in caplog.text
    assert nearest(curation, 1) == []
