"""The parts of `python -m core` that curation does."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from core.curation.errors import CurationError, InvalidFilter
from core.curation.export import FORMAT_OF_SUFFIX, ExportFormat, export_chunks
from core.curation.opening import open_curation
from core.curation.query_params import parse_filter
from core.curation.similar import Neighbour
from core.files import write_chunks_atomic
from core.storage.workspace import Workspace


def export_sounds(
    workspace: Workspace,
    file: Path,
    form: ExportFormat | None,
    filter_text: str = "",
    verified: bool = False,
) -> int:
    """Write sounds with their tags to a file; returns how many.

    Args:
        workspace: Holds the sounds.
        file: Where to; an older file is replaced.
        form: Its format, by default that of its name's suffix.
        filter_text: Which sounds, such as `state=reviewed&tag=rain`; empty for all.
        verified: Only those that are reviewed.

    Raises:
        CurationError: The filter or the format cannot be used, or the file cannot be written.
    """
    form = form or FORMAT_OF_SUFFIX.get(file.suffix.lower())
    if form is None:
        raise InvalidFilter(f"{file.name} does not say in which format; please add --format.")
    choice = parse_filter(filter_text)
    numbers: list[int] = []
    chunks = export_chunks(
        *(workspace.sounds, choice.query, form),
        order=choice.order,
        verified=verified,
        progress=numbers.append,
    )
    _write(file, chunks)
    return sum(numbers)


def export_events(workspace: Workspace, file: Path) -> int:
    """Write all events to a file of JSON lines; returns how many.

    Raises:
        CurationError: The file cannot be written.
    """
    number = 0

    def lines() -> Iterator[bytes]:
        nonlocal number
        for number, event in enumerate(workspace.events.all(), start=1):  # noqa: B007
            yield f"{event.to_json()}\n".encode()

    _write(file, lines())
    return number


def _write(file: Path, chunks: Iterable[bytes]) -> None:
    """Write a file as a whole or not at all; a pipe or device is written to, not replaced.

    Raises:
        CurationError: It cannot be written.
    """
    try:
        if file.exists() and not file.is_file():
            with file.open("wb") as output:
                output.writelines(chunks)
        else:
            write_chunks_atomic(file, chunks)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CurationError(f"{file} cannot be written: {reason}.") from error


def similar_sounds(workspace: Workspace, sound_id: str, limit: int) -> list[Neighbour]:
    """Return the sounds most like a sound, after bringing the index up to date.

    Raises:
        CurationError: The sound is unknown or was never predicted, or the index cannot be written.
    """
    state = workspace.sounds.get(sound_id)
    if state is None or state.model is None or state.withdrawn:
        raise CurationError(f"No sound with an embedding has the id {sound_id!r}.")
    curation = open_curation(workspace)
    try:
        curation.similar.extend(state.model)
    except OSError as error:
        reason = f"The index of similar sounds cannot be written: {error.strerror}."
        raise CurationError(reason) from error
    return curation.similar.nearest(sound_id, state.model, limit)
