import multiprocessing
from collections import Counter

from events import V1, V2, predicted, reviewed

from core.workspace import Query
from core.workspace.local import LocalWorkspace

WRITERS, EDITS, SOUNDS = 4, 50, 5


def edit(folder, name: str, start) -> None:
    """One curator: fifty edits over five sounds that others edit too, each adding a tag of their own."""
    workspace = LocalWorkspace(folder)
    start.wait()
    for number in range(EDITS):
        history = workspace.events(f"freesound:{1 + number % SOUNDS}")
        tags = [*workspace.sound(history[0].sound_id).tags, f"{name}-{number}"]
        workspace.append([reviewed(history, tags, actor=name)])


def tag_again(folder, start) -> None:
    """A job that tags the same sounds with the next model version while people edit."""
    workspace = LocalWorkspace(folder)
    start.wait()
    for number in range(1, SOUNDS + 1):
        workspace.append([predicted(number, "cat", model=V2)], once_per_model=True)


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    workspace = LocalWorkspace(tmp_path)
    workspace.append(predicted(number, "dog", model=V1) for number in range(1, SOUNDS + 1))
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(WRITERS + 2)
    names = [f"curator{number}" for number in range(WRITERS)]
    processes = [spawn.Process(target=edit, args=(tmp_path, name, start)) for name in names]
    processes += [spawn.Process(target=tag_again, args=(tmp_path, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * len(processes)

    events = list(workspace.log())
    edits = [event for event in events if event.kind == "reviewed"]
    assert Counter(event.actor for event in edits) == dict.fromkeys(names, EDITS)
    assert sum(event.kind == "predicted" for event in events) == 2 * SOUNDS
    added = {tag for state in workspace.page(Query(), 1, 10).sounds for tag in state.tags}
    assert added - {"dog", "cat"} == {f"{name}-{number}" for name in names for number in range(EDITS)}


def open_and_write(folder, number: int, start) -> None:
    start.wait()
    LocalWorkspace(folder).append([predicted(number)])


def test_processes_that_make_the_same_new_workspace_at_once_all_succeed(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(6)
    processes = [spawn.Process(target=open_and_write, args=(tmp_path / "new", number, start)) for number in range(1, 7)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert LocalWorkspace(tmp_path / "new").counts().sounds == 6
