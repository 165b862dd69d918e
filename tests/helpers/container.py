"""The Dockerfile as data, and its image as a folder: what it copies, read only."""

import json
import os
import re
import shlex
import shutil
import stat
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
MISSING_PACKAGES = """
import sys

class _Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, _Missing())
"""


@dataclass(frozen=True)
class Dockerfile:
    """The last stage of the Dockerfile: instructions, and what they say, in order."""

    instructions: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls) -> "Dockerfile":
        text = (ROOT / "Dockerfile").read_text("utf-8")
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
        pairs = [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]
        last = max(place for place, (word, _) in enumerate(pairs) if word == "FROM")
        return cls(tuple(pairs[last:]))

    def arguments(self, instruction: str) -> list[str]:
        return [text for word, text in self.instructions if word == instruction]

    @property
    def copied(self) -> list[str]:
        """The paths that are copied from the project."""
        words = [text.split() for text in self.arguments("COPY") if not text.startswith("--from")]
        return [path for *paths, _ in words for path in paths]

    @property
    def environment(self) -> dict[str, str]:
        return dict(
            word.split("=", 1) for text in self.arguments("ENV") for word in shlex.split(text)
        )

    @property
    def command(self) -> list[str]:
        return list(json.loads(self.arguments("CMD")[0]))

    @property
    def health_command(self) -> list[str]:
        return list(json.loads(self.arguments("HEALTHCHECK")[0].partition(" CMD ")[2]))


def ignored_by_docker(path: str) -> bool:
    """Tell whether .dockerignore leaves a path out."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    ignored = False
    for line in (line for line in lines if line and not line.startswith("#")):
        pattern = line.removeprefix("!")
        parts = Path(path).parts
        names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            names = list(parts)
        if any(fnmatch(name, pattern.removeprefix("**/")) for name in names):
            ignored = not line.startswith("!")
    return ignored


def build(folder: Path, dockerfile: Dockerfile, missing: tuple[str, ...]) -> None:
    """Copy into a folder what the image holds, without packages that it lacks, and lock it."""
    folder.mkdir()
    for name in dockerfile.copied:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (folder / "sitecustomize.py").write_text(MISSING_PACKAGES.format(names=set(missing)))
    lock(folder)


def lock(folder: Path, *, unlock: bool = False) -> None:
    """Let nobody but root write into a folder and those in it, or let its owner again."""
    for parent, _, names in os.walk(folder, topdown=not unlock):
        for name in names:
            Path(parent, name).chmod(0o644 if unlock else 0o444)
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(stat.S_IRWXU | 0o055 if unlock else 0o555)
