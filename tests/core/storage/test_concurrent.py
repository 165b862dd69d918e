import multiprocessing
from collections import Counter

from core.events.query import Query
from core.storage.local import open_local_workspace
from tests.helpers.events import V1, V2, predicted, reviewed

WRITERS, EDITS, SOUNDS = 4, 50, 5
ROUNDS = 30
"""New workspaces in turn; without a retry, opening fails in about every tenth of them."""


def edit(folder, name: str, start) -> None:
    """Edit as one curator: many edits over sounds that others edit too, each adding a new tag."""
    workspace = open_local_workspace(folder)
    start.wait(60)
    for number in range(EDITS):
        history = workspace.events.of_sound(f"freesound:{1 + number % SOUNDS}")
        state = workspace.sounds.get(history[0].sound_id)
        tags = [*state.tags, f"{name}-{number}"]
        workspace.events.append([reviewed(history, tags, actor=name)])


def tag_again(folder, start) -> None:
    """Tag the same sounds with the next model version, as a job does while people edit."""
    workspace = open_local_workspace(folder)
    start.wait(60)
    for number in range(1, SOUNDS + 1):
        workspace.events.append([predicted(number, "cat", model=V2)], once_per_model=True)


def open_and_write(folder, number: int, start) -> None:
    for round_number in range(ROUNDS):
        start.wait(60)
        workspace = open_local_workspace(folder / str(round_number))
        workspace.events.append([predicted(number)])


def run(processes):
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    workspace = open_local_workspace(tmp_path)
    workspace.events.append(predicted(number, "dog", model=V1) for number in range(1, SOUNDS + 1))
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(WRITERS + 2)
    names = [f"curator{number}" for number in range(WRITERS)]
    curators = [spawn.Process(target=edit, args=(tmp_path, name, start)) for name in names]
    jobs = [spawn.Process(target=tag_again, args=(tmp_path, start)) for _ in range(2)]
    run([*curators, *jobs])

    events = list(workspace.events.all())
    edits = [event for event in events if event.kind == "reviewed"]
    assert Counter(event.actor for event in edits) == dict.fromkeys(names, EDITS)
    assert sum(event.kind == "predicted" for event in events) == 2 * SOUNDS
    sounds = workspace.sounds.page(Query(), size=10).sounds
    added = {tag for state in sounds for tag in state.tags} - {"dog", "cat"}
    assert added == {f"{name}-{number}" for name in names for number in range(EDITS)}
    tags = Counter(tag for state in sounds for tag in state.tags)
    assert dict(workspace.sounds.tag_counts()) == tags


def test_processes_that_make_the_same_new_workspace_at_once_all_succeed(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(6)
    numbers = range(1, 7)
    run([spawn.Process(target=open_and_write, args=(tmp_path, n, start)) for n in numbers])
    for round_number in range(ROUNDS):
        workspace = open_local_workspace(tmp_path / str(round_number))
        assert workspace.sounds.counts().sounds == len(numbers)
