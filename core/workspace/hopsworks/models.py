"""Bundles in the Hopsworks model registry, and this machine's checked copies of them.

A version number belongs to whoever finds nobody else's claim in `models/<name>/<number>/`: the registry's own way to the next number lets
two who save at once take the same one, and the first to fail then deletes the files of both.
"""

import json
import os
import re
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Literal

from core.id2prediction import ModelRef
from core.model import bundle as bundles
from core.model.bundle import Bundle, BundleError
from core.workspace import NoSuchModel, WorkspaceError
from core.workspace.hopsworks.client import Away, HopsworksError, Missing, Project, RegisteredModel
from core.workspace.hopsworks.home import Home

FINGERPRINT = re.compile(r"fingerprint ([0-9a-f]{64})")
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""The client turns anything else into something else on the way back."""
MODEL_CARD = "README.md"


class SharedModels:
    """The registry's versions of bundles. Every method raises `WorkspaceError` with one sentence."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.folder = home.cache / "models"

    def push(self, bundle: Bundle) -> ModelRef:
        """Register a bundle as the next version of its name; one that is there already keeps its version. On an error nothing is left."""
        with self.home.only_one("push"):
            project = self.home.project()
            there = project.models(bundle.name)
            for model in sorted(there, key=lambda one: one.version):
                if _fingerprint(model) == bundle.fingerprint and self._is_whole(project, model):
                    return ModelRef(name=bundle.name, version=model.version, fingerprint=bundle.fingerprint)
            version = self._claim(project, bundle.name, 1 + max((model.version for model in there), default=0))
            self._register(project, bundle, version)
        return ModelRef(name=bundle.name, version=version, fingerprint=bundle.fingerprint)

    def _claim(self, project: Project, name: str, version: int) -> int:
        """The first number from `version` that nobody else has claimed. A claim is put there first and looked for others second, so of
        two at most one goes on with a number; when neither does, both try the next."""
        while True:
            place, mine = self.home.path(f"models/{name}/{version}"), uuid.uuid4().hex
            if self._names(project, place) == []:
                project.create(f"{place}/{mine}", b"claimed\n")
                if self._names(project, place) == [mine]:
                    return version
            version += 1

    def _names(self, project: Project, place: str) -> list[str]:
        try:
            return project.names(place)
        except Missing:
            return []

    def _register(self, project: Project, bundle: Bundle, version: int) -> None:
        scores = bundle.metrics["overall"].items()
        metrics = {name: float(value) for name, value in scores if value is not None and METRIC_NAME.fullmatch(name)}
        description = f"{bundle.architecture}, {len(bundle.vocabulary)} tags; Earmark bundle, fingerprint {bundle.fingerprint}"
        with tempfile.TemporaryDirectory(prefix="earmark-") as temporary:
            folder = Path(temporary) / "bundle"
            bundles.copy(bundle, folder)
            (folder / MODEL_CARD).write_text(model_card(bundle), "utf-8")
            try:
                project.save_model(bundle.name, version, folder, metrics, description)
                if not self._is_whole(project, RegisteredModel(bundle.name, version, metrics, description)):
                    raise Away("Hopsworks registered a model without all of its files; it is taken out again.")
            except BaseException:
                with suppress(HopsworksError):
                    project.delete_model(bundle.name, version)
                raise

    def _is_whole(self, project: Project, model: RegisteredModel) -> bool:
        """Whether all files of a version are there: a save that failed late leaves a registered version without."""
        return set(bundles.FILES) <= set(self._names(project, f"Models/{model.name}/{model.version}/Files"))

    def find(self, name: str, version: int | Literal["best", "latest"], metric: str) -> ModelRef:
        """A version of the registry: that one, the newest, or the one with the highest `metric`; half ones do not count."""
        project = self.home.project()
        there = sorted(project.models(name), key=lambda model: model.version, reverse=True)
        if version == "best":
            there.sort(key=lambda model: model.metrics.get(metric, float("-inf")), reverse=True)
        for model in there:
            fingerprint = _fingerprint(model)
            if fingerprint and version in ("best", "latest", model.version) and self._is_whole(project, model):
                return ModelRef(name=name, version=model.version, fingerprint=fingerprint)
        raise NoSuchModel(f"The registry of {self.home.account.project} keeps no such version of the model {name}: {version}.")

    def pull(self, model: ModelRef) -> Path:
        """The folder of this machine's copy, fetched where it is missing or damaged. It takes its place only when every byte is right."""
        with self.home.only_one("pull"):
            return self.copy_of(model) or self._fetch(model)

    def _fetch(self, model: ModelRef) -> Path:
        versions = self.folder / model.name
        versions.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=versions, prefix=".pull-") as temporary:
            fresh = Path(temporary) / "bundle"
            try:
                self.home.project().download_model(model.name, model.version, fresh)
                whole = bundles.fingerprint(fresh) == model.fingerprint
            except Missing as error:
                raise WorkspaceError(f"The model {model} is not in the workspace: {error}") from error
            except BundleError:
                whole = False
            if not whole:
                raise Away(f"The model {model} came incomplete or changed from Hopsworks; it is not used. Try again.")
            _replace(versions / str(model.version), fresh, Path(temporary) / "older")
        return versions / str(model.version)

    def copy_of(self, model: ModelRef) -> Path | None:
        """This machine's copy of that very bundle, or None."""
        folder = self.folder / model.name / str(model.version)
        try:
            return folder if bundles.fingerprint(folder) == model.fingerprint else None
        except BundleError:
            return None


def _fingerprint(model: RegisteredModel) -> str:
    found = FINGERPRINT.search(model.description)
    return found[1] if found else ""


def _replace(folder: Path, fresh: Path, older: Path) -> None:
    if folder.exists():
        os.rename(folder, older)
    os.rename(fresh, folder)


def model_card(bundle: Bundle) -> str:
    """What the registry shows about a bundle: what it is, what it was made from, how well it does."""
    scores = "\n".join(f"| {name} | {value} |" for name, value in bundle.metrics["overall"].items())
    facts = {name: value for name, value in bundle.description.items() if name in ("data", "licence", "license", "versions")}
    return (
        f"# {bundle.name}\n\n{bundle.architecture}, {len(bundle.vocabulary)} tags, for Earmark.\n\n"
        f"Scores on the {bundle.metrics['split']} split ({bundle.metrics['clips']} clips, {bundle.metrics['recordings']} recordings):\n\n"
        f"| score | value |\n|---|---|\n{scores}\n\n```json\n{json.dumps(facts, indent=1, ensure_ascii=False)}\n```\n\n"
        f"Tags: {', '.join(bundle.vocabulary)}\n"
    )
