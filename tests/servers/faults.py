"""What can go wrong with a request to a double, and which fault is next."""

from dataclasses import dataclass
from typing import Literal

Drop = Literal["before", "after"]
"""When a connection is closed without an answer: before or after the work is done."""


@dataclass
class Fault:
    """A fault of the next requests whose path contains `path`.

    Attributes:
        path: Part of the paths that it concerns; blank for all.
        times: Requests that it still concerns; None for all until it is healed.
        method: The HTTP method that it concerns; None for all.
        status: Status of the answer that replaces the true one.
        body: Body of the answer that replaces the true one.
        content_type: Media type of the answer; None leaves the true one.
        delay: Seconds before the answer.
        drip: Seconds before every 1,024 bytes of the answer.
        truncate: Bytes after which the answer ends.
        drop: Close the connection instead of answering.
        processed: The work is done whatever is answered.
    """

    path: str = ""
    times: int | None = 1
    method: str | None = None
    status: int | None = None
    body: bytes = b""
    content_type: str | None = None
    delay: float = 0.0
    drip: float = 0.0
    truncate: int | None = None
    drop: Drop | None = None
    processed: bool = True

    def __post_init__(self) -> None:
        if self.drop not in (None, "before", "after"):
            raise ValueError(f'drop is "before" or "after", not {self.drop!r}')

    def concerns(self, path: str, method: str) -> bool:
        """Tell if a request with this path and method goes wrong."""
        return self.path in path and self.method in (None, method)


def take_fault(faults: list[Fault], path: str, method: str) -> Fault | None:
    """Return the fault of a request; earlier ones come first, those used up are removed."""
    for fault in faults:
        if fault.concerns(path, method):
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    faults.remove(fault)
            return fault
    return None


def is_worked_on(status: int | None, drop: Drop | None) -> bool:
    """Tell if a request is worked on although its answer is a fault, unless a test says so."""
    return drop != "before" and status is None
