"""Damaged sound files, read in processes with limits: python -m benchmarks fuzz.

Every file is either decoded or refused in a sentence. Everything else is a fault: an error of
another kind, a crash, a hang, foreign output, much memory, a wrong length.
"""

import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from rich.progress import Progress

from benchmarks import harness
from benchmarks.fuzz_checks import CRASH, DECODED, FAULTS, HANG, SUFFIXES, Guard, Outcome, check
from benchmarks.fuzz_files import DamagedFile, damaged_file
from benchmarks.fuzz_kinds import whole_files

WALL_TIMES_CPU = 6
"""A process that waits instead of working is stopped after so many times its CPU time."""
MAX_FAULTS_SHOWN = 40


@dataclass(frozen=True)
class FuzzSettings:
    """Of a run.

    Attributes:
        files: How many are made.
        seed: That they are made from.
        first: The number of the first one.
        workers: Processes that read them.
        seconds: CPU time for a file.
        megabytes: Memory for a file, above what the process has.
        keep: Folder for the files that were read wrongly; None to keep none.
    """

    files: int = 10_000
    seed: int = 1
    first: int = 0
    workers: int = 2
    seconds: float = 10.0
    megabytes: float = 700.0
    keep: Path | None = None


@dataclass
class FuzzReport:
    """Counts by verdict, faults by file number, and the slowest file."""

    verdicts: Counter[str] = field(default_factory=Counter)
    faults: dict[int, Outcome] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, -1)

    def add(self, number: int, outcome: Outcome) -> None:
        """Count the outcome of a file."""
        self.verdicts[outcome.verdict] += 1
        self.slowest = max(self.slowest, (outcome.seconds, number))
        if outcome.is_fault:
            self.faults[number] = outcome


def fuzz(settings: FuzzSettings) -> FuzzReport:
    """Read damaged files and return what became of them; Ctrl-C ends it early."""
    kinds, report = whole_files(), FuzzReport()
    try:
        with Progress(console=harness.console, transient=True) as progress:
            task = progress.add_task("damaged files", total=settings.files)
            for number, outcome in _outcomes(settings, kinds):
                report.add(number, outcome)
                if outcome.is_fault and settings.keep:
                    _save(settings.keep, number, damaged_file(kinds, settings.seed, number))
                progress.update(task, advance=1, description=f"{len(report.faults)} faults")
    except KeyboardInterrupt:
        harness.print_text("Stopped early; what was read so far:")
    _print_report(report, settings, kinds)
    return report


@dataclass
class _Worker:
    """A process that reads files, and the file that it reads."""

    process: SpawnProcess
    pipe: "Connection[object, object]"
    number: int = -1
    started: float = 0.0

    def send(self, number: int) -> None:
        """Give it the next file."""
        self.number, self.started = number, time.monotonic()
        self.pipe.send(number)

    def stop(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _outcomes(settings: FuzzSettings, kinds: dict[str, bytes]) -> Iterator[tuple[int, Outcome]]:
    """Yield the number and the outcome of each file, as they come."""
    numbers = iter(range(settings.first, settings.first + settings.files))
    idle = [_start(settings, kinds) for _ in range(min(settings.workers, settings.files))]
    busy: list[_Worker] = []
    try:
        while True:
            for worker, number in zip(list(idle), numbers, strict=False):
                worker.send(number)
                idle.remove(worker)
                busy.append(worker)
            if not busy:
                return
            wait([worker.pipe for worker in busy], timeout=1.0)
            for worker in list(busy):
                outcome = _outcome(worker, settings)
                if outcome:
                    busy.remove(worker)
                    is_dead = outcome.verdict in (CRASH, HANG)
                    idle.append(_restarted(worker, settings, kinds) if is_dead else worker)
                    yield worker.number, outcome
    finally:
        for worker in (*idle, *busy):
            worker.stop()


def _restarted(worker: _Worker, settings: FuzzSettings, kinds: dict[str, bytes]) -> _Worker:
    worker.stop()
    return _start(settings, kinds)


def _outcome(worker: _Worker, settings: FuzzSettings) -> Outcome | None:
    """Return what became of the worker's file; None while it is being read."""
    try:
        if worker.pipe.poll():
            outcome = worker.pipe.recv()
            assert isinstance(outcome, Outcome)
            return outcome
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = -(worker.process.exitcode or 0)
        if code == signal.SIGPROF:
            return Outcome(HANG, f"more than {settings.seconds:g} s of CPU", settings.seconds)
        return Outcome(CRASH, signal.Signals(code).name if code > 0 else f"exit status {-code}")
    if time.monotonic() - worker.started > WALL_TIMES_CPU * settings.seconds:
        return Outcome(HANG, "waits without an end", settings.seconds)
    return None


def _start(settings: FuzzSettings, kinds: dict[str, bytes]) -> _Worker:
    context = get_context("spawn")
    pipe, workers_end = context.Pipe()
    process = context.Process(target=_work, args=(workers_end, settings, kinds), daemon=True)
    process.start()
    workers_end.close()
    return _Worker(process, pipe)


def _work(
    pipe: "Connection[object, object]", settings: FuzzSettings, kinds: dict[str, bytes]
) -> None:
    """Read the files whose numbers come, until the process is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's
    guard = Guard(settings.seconds, settings.megabytes)
    check(next(iter(kinds.values())))  # what is loaded once is no file's memory
    while True:
        number = pipe.recv()
        assert isinstance(number, int)
        data = damaged_file(kinds, settings.seed, number).data
        suffix = SUFFIXES[number % len(SUFFIXES)]
        pipe.send(guard.run(partial(check, data, suffix)))


def _save(folder: Path, number: int, damaged: DamagedFile) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}-{damaged.kind.replace(' ', '-')}").write_bytes(damaged.data)


def _print_report(report: FuzzReport, settings: FuzzSettings, kinds: dict[str, bytes]) -> None:
    verdicts = [(name, f"{report.verdicts[name]:,}") for name in (DECODED, *FAULTS)]
    refused = sorted(report.verdicts.keys() - {DECODED, *FAULTS})
    verdicts[1:1] = [(f"refused: {name}", f"{report.verdicts[name]:,}") for name in refused]
    total = sum(report.verdicts.values())
    harness.print_table(f"{total:,} damaged files, seed {settings.seed}", ("", "files"), verdicts)
    seconds, number = report.slowest
    harness.print_text(f"The slowest, number {number}, took {seconds:.2f} s of CPU.")
    for number, outcome in sorted(report.faults.items())[:MAX_FAULTS_SHOWN]:
        damaged = damaged_file(kinds, settings.seed, number)
        done = ", ".join(damaged.mutations)
        harness.print_text(
            f"{number}: {outcome.verdict}: {outcome.detail} ({damaged.kind}: {done})"
        )
