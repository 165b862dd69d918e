"""Compaction: many event files repeated in one segment, so that a new reader needs few requests."""

from collections.abc import Iterable, Iterator, Sequence

from core.storage.hopsworks import segments
from core.storage.hopsworks.client import Project
from core.storage.hopsworks.pull import LogFile, Puller
from core.storage.hopsworks.shared_folder import SharedFolder


def compact(shared: SharedFolder, puller: Puller, min_files: int) -> int:
    """Repeat event files that no segment holds in segments.

    Two machines that do so at once make two segments of the same events, which is harmless. Lines
    are taken from the shared folder, not from the local log: what this version cannot read is
    passed on to one that can.

    Args:
        shared: The shared folder.
        puller: Brings the local log up to date first.
        min_files: Do nothing for fewer files.

    Returns:
        The number of files compacted.

    Raises:
        HopsworksError: The folder cannot be read or written.
    """
    puller.pull(everything=True)
    paths = shared.state.uncompacted()
    if len(paths) < min_files:
        return 0
    project = shared.project()
    compacted = 0
    for start in range(0, len(paths), segments.MAX_LINES):
        files = puller.read_files(project, paths[start : start + segments.MAX_LINES])
        for batch in _segment_batches(files):
            _write_segment(shared, project, batch)
            compacted += len(batch)
    return compacted


def _write_segment(shared: SharedFolder, project: Project, files: Sequence[LogFile]) -> None:
    """Put a segment of these files into the shared folder."""
    path, paths = f"segments/{segments.new_name()}", [file.path for file in files]
    lines = segments.segment_lines(paths, [line for file in files for line in file.lines])
    project.create_file(shared.path(path), segments.encode("segment", lines))
    with shared.database.writing() as connection:
        shared.state.mark_seen(connection, paths, in_segment=True)
        shared.state.mark_seen(connection, [path])


def _segment_batches(files: Iterable[LogFile]) -> Iterator[list[LogFile]]:
    """Split files into batches whose lines fit into one segment."""
    batch: list[LogFile] = []
    lines = size = 0
    for file in files:
        length = sum(len(line.encode()) for line in file.lines)
        too_many = lines + len(file.lines) > segments.MAX_LINES
        if batch and (too_many or size + length > segments.MAX_BYTES):
            yield batch
            batch, lines, size = [], 0, 0
        batch.append(file)
        lines += len(file.lines)
        size += length
    if batch:
        yield batch
