"""Files and folders in memory, and the error answers of the server."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field


class Refusal(Exception):
    """An error answer: HTTP status, Hopsworks' error code and message."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Node:
    """A file (`data` is bytes) or a directory (`data` is None)."""

    id: int
    name: str
    data: bytes | None = None
    children: dict[str, "Node"] = field(default_factory=dict)
    modified: float = field(default_factory=time.time)

    @property
    def is_dir(self) -> bool:
        """Tell a directory from a file."""
        return self.data is None


def walk(node: Node, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield every file below a directory as its path from there and its bytes."""
    for child in list(node.children.values()):
        if child.data is None:
            yield from walk(child, f"{path}{child.name}/")
        else:
            yield path + child.name, child.data


def copy_node(node: Node, name: str, ids: Iterator[int]) -> Node:
    """Return a copy of a node and all below it, with new ids."""
    children = {key: copy_node(child, key, ids) for key, child in node.children.items()}
    return Node(next(ids), name, node.data, children)
