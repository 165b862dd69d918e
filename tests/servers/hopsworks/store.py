"""What the Hopsworks double keeps: one project's files and its model registry.

It is as strict as the real server is known to be. Everything raises `Refusal` with the HTTP status
and error code of Hopsworks' published table. There is no HTTP in here.
"""

import itertools
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.servers.hopsworks.tree import Node, Refusal, copy_node, walk

MAX_LISTED = 10_000
FOLDER_NAME = re.compile(r"""(?!.*__)[^/\\?*:|'"<>%()&;#@${}\[\]+~^`]{1,88}(?<!\.)""")
"""FolderNameValidator in the server's source."""
DATASETS = ("Resources", "Logs", "Models", "Jupyter")
OWNER = "meb10000"

Json = dict[str, Any]


@dataclass
class Upload:
    """Chunks of one file that have arrived so far, by number."""

    chunks: dict[int, bytes] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Return the bytes that have arrived."""
        return sum(map(len, self.chunks.values()))

    @property
    def data(self) -> bytes:
        """Return the chunks in their order."""
        return b"".join(self.chunks[number] for number in sorted(self.chunks))


class Store:
    """Files below `/Projects/<project>/`, top-level folders being datasets, and models.

    Safe for threads, except that a merge of chunks takes its time.

    Attributes:
        project: Name of the project.
        models: The registry by name and version.
        registration_delay: GETs that do not find a model yet after it was registered.
        merge_delay_s: Seconds that each half of a merge takes.
        full: No upload has space any more.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        self.lock = threading.RLock()
        # never the same in two runs: the client caches models by id
        self.ids = itertools.count(time.time_ns() // 1000)
        self.root = Node(0, "")
        self.uploads: dict[tuple[str, str], Upload] = {}
        self.models: dict[tuple[str, int], Json] = {}
        self.hidden: dict[tuple[str, int], int] = {}  # GETs that do not find a model yet
        self.registration_delay = 0
        self.merge_delay_s = 0.0
        self.full = False
        for name in DATASETS:
            self.root.children[name] = Node(next(self.ids), name)

    # Paths

    def parts(self, path: str) -> list[str]:
        """Return the names on the way to a path, relative to the project or from /Projects."""
        names = [name for name in path.split("/") if name]
        return names[2:] if names[:2] == ["Projects", self.project] else names

    def find(self, path: str) -> Node | None:
        """Return what is at a path, None if nothing is."""
        node = self.root
        for name in self.parts(path):
            child = node.children.get(name)
            if child is None:
                return None
            node = child
        return node

    def node(self, path: str) -> Node:
        """Return what is at a path.

        Raises:
            Refusal: Nothing is.
        """
        self._check_dataset(self.parts(path))
        node = self.find(path)
        if node is None:
            raise Refusal(400, 110018, "Path not found.")
        return node

    def full_path(self, path: str) -> str:
        """Return a path from /Projects."""
        return "/".join(["/Projects", self.project, *self.parts(path)])

    def _parent(self, path: str) -> tuple[Node, str]:
        """Return the folder that a path is in, and its name there."""
        names = self.parts(path)
        return self.node("/".join(names[:-1])), names[-1]

    def _check_dataset(self, names: list[str]) -> None:
        """Refuse a path in a dataset that does not exist."""
        if names and names[0] not in self.root.children:
            raise Refusal(400, 110011, f"DataSet not found. dataset: {names[0]}")

    # For tests: straight into the tree

    def put(self, path: str, data: bytes) -> None:
        """Write a file with all its folders, without any request."""
        *folders, name = self.parts(path)
        node = self.root
        for folder in folders:
            node = node.children.setdefault(folder, Node(next(self.ids), folder))
        node.children[name] = Node(next(self.ids), name, data)

    def files(self, path: str = "") -> dict[str, bytes]:
        """Return every file below a folder by its path from there."""
        folder = self.find(path)
        return dict(walk(folder)) if folder else {}

    # Files

    def stat(self, path: str) -> Json:
        """Return what the server says of a path."""
        with self.lock:
            node = self.node(path)
            attributes = self._attributes(path, node) | {"size": len(node.data or b"")}
            extra = {"datasetType": "DATASET"} if len(self.parts(path)) == 1 else {}
            return {"attributes": attributes, **extra}

    def _attributes(self, path: str, node: Node) -> Json:
        """Return the attributes of a node."""
        modified = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(node.modified))
        return {
            "path": self.full_path(path),
            "name": node.name,
            "dir": node.is_dir,
            "modificationTime": modified,
            "owner": OWNER,
        }

    def listing(self, path: str, offset: int, limit: int, sort_by: str) -> Json:
        """Return a part of a folder's list.

        Args:
            path: The folder.
            offset: Entries that are skipped.
            limit: Entries that are returned, at most `MAX_LISTED`.
            sort_by: `NAME` for the order of names, else that of ids; `:desc` reverses it.
        """
        with self.lock:
            node = self.node(path)
            if not node.is_dir:
                raise Refusal(400, 110039, "Path is not a directory.")
            children = list(node.children.values())  # in order of id
        key, _, direction = sort_by.partition(":")
        if key == "NAME":
            children.sort(key=lambda child: child.name)
        if direction == "desc":
            children.reverse()
        shown = children[offset : offset + min(limit, MAX_LISTED)]
        are_datasets = not self.parts(path)
        items = [self._item(f"{path}/{child.name}", child, are_datasets) for child in shown]
        return {"count": len(children), "items": items}

    def _item(self, path: str, node: Node, is_dataset: bool) -> Json:
        """Return an entry of a list."""
        item: Json = {"attributes": self._attributes(path, node)}
        if is_dataset:
            item |= {"id": node.id, "name": node.name, "datasetType": "DATASET"}
        return item

    def content(self, path: str) -> bytes:
        """Return a file's bytes."""
        with self.lock:
            node = self.node(path)
            if node.data is None:
                raise Refusal(400, 110038, "Path is not a file.")
            return node.data

    def mkdir(self, path: str) -> Json:
        """Make a folder in an existing one."""
        with self.lock:
            names = self.parts(path)
            if len(names) > 1:
                self._check_dataset(names)
            parent, name = self.find("/".join(names[:-1])), names[-1]
            if parent is None or not parent.is_dir:
                raise Refusal(422, 120001, "The parent directory does not exist.")
            if name in parent.children:
                raise Refusal(400, 110047, "A directory with the same name already exists.")
            if not FOLDER_NAME.fullmatch(name):
                # the number is not certain
                raise Refusal(400, 110028, "Name of dataset is invalid.")
            parent.children[name] = Node(next(self.ids), name)
            return {"attributes": {"path": self.full_path(path)}}

    def remove(self, path: str) -> None:
        """Delete a file or folder; nothing happens if it is not there."""
        with self.lock:
            if self.find(path) is not None:
                parent, name = self._parent(path)
                del parent.children[name]

    def transfer(self, source: str, target: str, *, move: bool) -> None:
        """Copy or move: "does it exist" and the act itself are two steps, as on the server."""
        if self.find(target) is not None:
            raise Refusal(400, 110012, "Destination already exists.")
        with self.lock:
            node = self.node(source)
            parent, name = self._parent(target)
            parent.children[name] = copy_node(node, name, self.ids)
            if move:
                self.remove(source)

    # Uploads

    def chunk(self, folder: str, fields: dict[str, str], data: bytes) -> None:
        """Take one chunk of a file.

        Chunk 1 makes an empty file under the final name and `<name>.temp` beside it; the last one
        merges them.

        Args:
            folder: Folder of the file.
            fields: The form's fields, named as flow.js does.
            data: The chunk.
        """
        name, number = fields["flowFilename"], int(fields["flowChunkNumber"])
        if self.full:
            raise Refusal(500, 110055, "Upload failed. There is no space left.")
        if len(data) != int(fields["flowCurrentChunkSize"]):
            message = "Upload failed. The chunk has another size than announced."
            raise Refusal(500, 110043, message)
        key = (fields["flowIdentifier"], self.full_path(folder))
        with self.lock:
            parent = self.node(folder)
            if number == 1:
                self._begin_upload(parent, name)
            upload = self.uploads.setdefault(key, Upload())
            upload.chunks[number] = data
            complete = upload.size == int(fields["flowTotalSize"])
        if complete and 1 in upload.chunks:
            self._merge(parent, name, self.uploads.pop(key).data)

    def _begin_upload(self, parent: Node, name: str) -> None:
        """Make the empty file and its marker."""
        if name in parent.children:
            raise Refusal(400, 110012, "Destination already exists.")
        parent.children[name] = Node(next(self.ids), name, b"")
        parent.children[f"{name}.temp"] = Node(next(self.ids), f"{name}.temp")

    def _merge(self, parent: Node, name: str, data: bytes) -> None:
        """Write the file; with a delay, readers see it empty, then half of it."""
        if self.merge_delay_s:
            time.sleep(self.merge_delay_s)
            parent.children[name].data = data[: len(data) // 2]
            time.sleep(self.merge_delay_s)
        with self.lock:
            if name in parent.children:
                parent.children[name].data = data
            parent.children.pop(f"{name}.temp", None)

    # Models

    def model(self, key: str) -> Json:
        """Return a model by `<name>_<version>` or by its id."""
        with self.lock:
            versioned = self._versioned(key)
            model, hidden = self.models.get(versioned), self.hidden.get(versioned, 0)
            if hidden:
                self.hidden[versioned] = hidden - 1
            if model is None or hidden:
                raise Refusal(404, 360000, "Model not found.")
            return model

    def _versioned(self, key: str) -> tuple[str, int]:
        """Return the name and version that a key stands for."""
        for versioned, model in self.models.items():
            if str(model["id"]) == key:
                return versioned
        name, _, version = key.rpartition("_")
        return name, int(version) if version.isdecimal() else 0

    def register(self, key: str, body: Json) -> Json:
        """Write a model into the registry."""
        for name, value in (body.get("metrics") or {}).items():
            if not isinstance(value, int | float) or value != value:
                raise Refusal(400, 360002, f"The metric {name} is no number.")
        with self.lock:
            versioned = self._versioned(key)
            fields = {name: value for name, value in body.items() if value is not None}
            self.models[versioned] = fields | {
                "id": next(self.ids),
                "version": versioned[1],
                "name": versioned[0],
                "projectName": self.project,
                "modelRegistryId": 119,
                "created": int(time.time() * 1000),
                "userFullName": "Ada Lovelace",
            }
            self.hidden[versioned] = self.registration_delay
            return self.models[versioned]

    def models_named(self, name: str, sort_by: str | None, limit: int | None) -> Json:
        """Return the versions of a model.

        Args:
            name: The model's name.
            sort_by: A metric with `:asc` or `:desc`; versions without it come last.
            limit: Number of versions that are returned.
        """
        with self.lock:
            models = [
                model for versioned, model in sorted(self.models.items()) if versioned[0] == name
            ]
        if sort_by:
            metric, _, direction = sort_by.partition(":")
            descending = direction == "desc"
            last = float("-inf") if descending else float("inf")
            models.sort(
                key=lambda model: (model.get("metrics") or {}).get(metric, last),
                reverse=descending,
            )
        return {"count": len(models), "items": models[:limit]}

    def unregister(self, key: str) -> None:
        """Delete a model with its files."""
        with self.lock:
            model = self.model(key)
            del self.models[model["name"], model["version"]]
            self.remove(f"Models/{model['name']}/{model['version']}")
