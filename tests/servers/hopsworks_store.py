"""What the Hopsworks double keeps: one project's files and its model registry, as strict as the real server is known to be.

Everything raises `Refusal` with the HTTP status and error code of Hopsworks' published table. No HTTP in here.
"""

import itertools
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

LIST_CAP = 10_000
FOLDER_NAME = re.compile(r"""(?!.*__)[^/\\?*:|'"<>%()&;#@${}\[\]+~^`]{1,88}(?<!\.)""")
"""FolderNameValidator in the server's source."""
DATASETS = ("Resources", "Logs", "Models", "Jupyter")


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
        return self.data is None


@dataclass
class Upload:
    """Chunks of one file that have arrived so far, by number."""

    chunks: dict[int, bytes] = field(default_factory=dict)


class Store:
    """Files below `/Projects/<project>/`, top-level folders being datasets. Safe for threads, except that a merge takes its time."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.lock = threading.RLock()
        self.ids = itertools.count(time.time_ns() // 1000)  # never the same in two runs: the client caches models by id
        self.root = Node(0, "")
        self.uploads: dict[tuple[str, str], Upload] = {}
        self.models: dict[tuple[str, int], dict[str, Any]] = {}
        self.hidden: dict[tuple[str, int], int] = {}  # a registered model that so many more GETs do not find yet
        self.registration_delay = 0  # GETs
        self.merge_delay_s = 0.0
        self.full = False
        for name in DATASETS:
            self.root.children[name] = Node(next(self.ids), name)

    # Paths

    def parts(self, path: str) -> list[str]:
        """Names on the way to a path, given relative to the project or from /Projects."""
        names = [name for name in path.split("/") if name]
        if names[:2] == ["Projects", self.project]:
            names = names[2:]
        return names

    def find(self, path: str) -> Node | None:
        node = self.root
        for name in self.parts(path):
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    def node(self, path: str) -> Node:
        names = self.parts(path)
        if names and names[0] not in self.root.children:
            raise Refusal(400, 110011, f"DataSet not found. dataset: {names[0]}")
        node = self.find(path)
        if node is None:
            raise Refusal(400, 110018, "Path not found.")
        return node

    def parent(self, path: str) -> tuple[Node, str]:
        names = self.parts(path)
        return self.node("/".join(names[:-1])), names[-1]

    def full_path(self, path: str) -> str:
        return "/".join(["/Projects", self.project, *self.parts(path)])

    # For tests: straight into the tree

    def put(self, path: str, data: bytes) -> None:
        """A file with all its folders, without any request."""
        *folders, name = self.parts(path)
        node = self.root
        for one in folders:
            node = node.children.setdefault(one, Node(next(self.ids), one))
        node.children[name] = Node(next(self.ids), name, data)

    def files(self, path: str = "") -> dict[str, bytes]:
        """Every file below a folder by its path from there."""
        top = self.find(path)
        return dict(_walk(top, "")) if top else {}

    # Files

    def stat(self, path: str) -> dict[str, Any]:
        with self.lock:
            node = self.node(path)
            attributes = self._attributes(path, node) | {"size": len(node.data or b"")}
            extra = {"datasetType": "DATASET"} if len(self.parts(path)) == 1 else {}
            return {"attributes": attributes, **extra}

    def _attributes(self, path: str, node: Node) -> dict[str, Any]:
        modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(node.modified))
        return {"path": self.full_path(path), "name": node.name, "dir": node.is_dir, "modificationTime": modified, "owner": "meb10000"}

    def listing(self, path: str, offset: int, limit: int, sort_by: str) -> dict[str, Any]:
        with self.lock:
            node = self.node(path)
            if not node.is_dir:
                raise Refusal(400, 110039, "Path is not a directory.")
            children = list(node.children.values())  # in order of id
        what, _, direction = sort_by.partition(":")
        if what == "NAME":
            children.sort(key=lambda child: child.name)
        if direction == "desc":
            children.reverse()
        shown = children[offset : offset + min(limit, LIST_CAP)]
        top = not self.parts(path)
        return {"count": len(children), "items": [self._item(f"{path}/{child.name}", child, top) for child in shown]}

    def _item(self, path: str, node: Node, dataset: bool) -> dict[str, Any]:
        item: dict[str, Any] = {"attributes": self._attributes(path, node)}
        return item | {"id": node.id, "name": node.name, "datasetType": "DATASET"} if dataset else item

    def content(self, path: str) -> bytes:
        with self.lock:
            node = self.node(path)
            if node.data is None:
                raise Refusal(400, 110038, "Path is not a file.")
            return node.data

    def mkdir(self, path: str) -> dict[str, Any]:
        with self.lock:
            names = self.parts(path)
            if len(names) > 1 and names[0] not in self.root.children:
                raise Refusal(400, 110011, f"DataSet not found. dataset: {names[0]}")
            above = self.find("/".join(names[:-1]))
            if above is None or not above.is_dir:
                raise Refusal(422, 120001, "The parent directory does not exist.")
            if names[-1] in above.children:
                raise Refusal(400, 110047, "A directory with the same name already exists.")
            if not FOLDER_NAME.fullmatch(names[-1]):
                raise Refusal(400, 110028, "Name of dataset is invalid.")  # the number is not certain
            above.children[names[-1]] = Node(next(self.ids), names[-1])
            return {"attributes": {"path": self.full_path(path)}}

    def remove(self, path: str) -> None:
        with self.lock:
            if self.find(path) is not None:
                above, name = self.parent(path)
                del above.children[name]

    def transfer(self, source: str, target: str, *, move: bool) -> None:
        """Copy or move: "does it exist" and the act itself are two steps, as on the server."""
        if self.find(target) is not None:
            raise Refusal(400, 110012, "Destination already exists.")
        with self.lock:
            node = self.node(source)
            above, name = self.parent(target)
            above.children[name] = _copy(node, name, self.ids)
            if move:
                self.remove(source)

    # Uploads

    def chunk(self, folder: str, fields: dict[str, str], data: bytes) -> None:
        """One chunk of a file. Chunk 1 makes an empty file under the final name and `<name>.temp` beside it; the last one merges."""
        name, number = fields["flowFilename"], int(fields["flowChunkNumber"])
        if self.full:
            raise Refusal(500, 110055, "Upload failed. There is no space left.")
        if len(data) != int(fields["flowCurrentChunkSize"]):
            raise Refusal(500, 110043, "Upload failed. The chunk has another size than announced.")
        with self.lock:
            above = self.node(folder)
            if number == 1:
                if name in above.children:
                    raise Refusal(400, 110012, "Destination already exists.")
                above.children[name] = Node(next(self.ids), name, b"")
                above.children[f"{name}.temp"] = Node(next(self.ids), f"{name}.temp")
            upload = self.uploads.setdefault((fields["flowIdentifier"], self.full_path(folder)), Upload())
            upload.chunks[number] = data
            whole = sum(map(len, upload.chunks.values())) == int(fields["flowTotalSize"])
        if whole and 1 in upload.chunks:
            self._merge(above, name, (fields["flowIdentifier"], self.full_path(folder)))

    def _merge(self, above: Node, name: str, key: tuple[str, str]) -> None:
        """Not atomic: with a delay, readers see the empty file, then half of it."""
        chunks = self.uploads.pop(key).chunks
        data = b"".join(chunks[number] for number in sorted(chunks))
        if self.merge_delay_s:
            time.sleep(self.merge_delay_s)
            above.children[name].data = data[: len(data) // 2]
            time.sleep(self.merge_delay_s)
        with self.lock:
            if name in above.children:
                above.children[name].data = data
            above.children.pop(f"{name}.temp", None)

    # Models

    def model(self, key: str) -> dict[str, Any]:
        with self.lock:
            found = self.models.get(self._versioned(key))
            left = self.hidden.get(self._versioned(key), 0)
            if left:
                self.hidden[self._versioned(key)] = left - 1
            if found is None or left:
                raise Refusal(404, 360000, "Model not found.")
            return found

    def _versioned(self, key: str) -> tuple[str, int]:
        """`<name>_<version>`, or the id that an answer gave."""
        for versioned, model in self.models.items():
            if str(model["id"]) == key:
                return versioned
        name, _, version = key.rpartition("_")
        return name, int(version) if version.isdecimal() else 0

    def register(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        for name, value in (body.get("metrics") or {}).items():
            if not isinstance(value, int | float) or value != value:
                raise Refusal(400, 360002, f"The metric {name} is no number.")
        with self.lock:
            versioned = self._versioned(key)
            given = {name: value for name, value in body.items() if value is not None}
            self.models[versioned] = given | {
                "id": next(self.ids), "version": versioned[1], "name": versioned[0], "projectName": self.project,
                "modelRegistryId": 119, "created": int(time.time() * 1000), "userFullName": "Ada Lovelace",
            }  # fmt: skip
            self.hidden[versioned] = self.registration_delay
            return self.models[versioned]

    def models_named(self, name: str, sort_by: str | None, limit: int | None) -> dict[str, Any]:
        with self.lock:
            found = [model for (one, _), model in sorted(self.models.items()) if one == name]
        if sort_by:
            metric, _, direction = sort_by.partition(":")
            lacking = float("-inf") if direction == "desc" else float("inf")
            found.sort(key=lambda model: (model.get("metrics") or {}).get(metric, lacking), reverse=direction == "desc")
        return {"count": len(found), "items": found[:limit]}

    def unregister(self, key: str) -> None:
        with self.lock:
            model = self.model(key)
            del self.models[model["name"], model["version"]]
            self.remove(f"Models/{model['name']}/{model['version']}")


def _walk(node: Node, path: str):
    for child in list(node.children.values()):
        if child.data is None:
            yield from _walk(child, f"{path}{child.name}/")
        else:
            yield path + child.name, child.data


def _copy(node: Node, name: str, ids) -> Node:
    return Node(next(ids), name, node.data, {one: _copy(child, one, ids) for one, child in node.children.items()})
