"""The optional entries of metrics.json, checked before they are shown, and whether two compare."""

from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from core.model.bundle import Bundle
from core.model.errors import InvalidBundle
from core.model.metrics_types import (
    Curves,
    Intervals,
    LearningPoint,
    Numbers,
    PrecisionChoice,
    Reliability,
    TagDetail,
    TestData,
    UnknownSounds,
)

_ENTRIES: dict[str, TypeAdapter[Any]] = {
    "per_tag": TypeAdapter(dict[str, Numbers]),
    "curves": TypeAdapter(Curves),
    "reliability": TypeAdapter(Reliability),
    "intervals": TypeAdapter(dict[str, Intervals]),
    "baseline": TypeAdapter(dict[str, float | str | None]),
    "history": TypeAdapter(list[Numbers]),
    "test_data": TypeAdapter(TestData),
    "details": TypeAdapter(dict[str, TagDetail]),
    "threshold_choices": TypeAdapter(list[PrecisionChoice]),
    "learning_curve": TypeAdapter(list[LearningPoint]),
    "unknown_sounds": TypeAdapter(UnknownSounds),
}
Difference = Literal["", "data", "tags"]


def check_metrics(bundle: Bundle) -> None:
    """Check every entry of metrics.json that loading a bundle does not.

    Raises:
        InvalidBundle: An entry is damaged.
    """
    for name, adapter in _ENTRIES.items():
        if name not in bundle.metrics:
            continue
        try:
            adapter.validate_python(bundle.metrics[name], strict=True)  # type: ignore[literal-required]
        except ValidationError as error:
            first = error.errors()[0]
            entry = ".".join(map(str, (name, *first["loc"])))
            reason = f"The model in {bundle.folder.name} has a wrong metrics.json"
            raise InvalidBundle(f"{reason}: {entry}: {first['msg']}.") from error
    unknown = set(bundle.metrics.get("details", {})) - set(bundle.vocabulary)
    if unknown:
        reason = "has details in metrics.json for other tags than its own"
        raise InvalidBundle(f"The model in {bundle.folder.name} {reason}.")


def difference(first: Bundle, second: Bundle) -> Difference:
    """Return what keeps the scores of two bundles from being compared.

    Returns:
        "data" where they were measured on other clips, or nobody can tell; "tags" where the clips
        are the same and other tags were scored; "" where nothing does.
    """
    data = [bundle.metrics.get("test_data") for bundle in (first, second)]
    if data[0] and data[1] and data[0]["fingerprint"] == data[1]["fingerprint"]:
        return ""
    recordings = [_test_recordings(bundle) for bundle in (first, second)]
    counts = [bundle.metrics["clips"] for bundle in (first, second)]
    if not recordings[0] or recordings[0] != recordings[1] or counts[0] != counts[1]:
        return "data"
    if scored_tags(first).keys() != scored_tags(second).keys():
        return "tags"
    # With both fingerprints known and different, the labels are others.
    return "data" if data[0] and data[1] else ""


def scored_tags(bundle: Bundle) -> dict[str, Numbers]:
    """Return the scores of the tags that test clips are labelled with."""
    per_tag = bundle.metrics["per_tag"]
    return {tag: scores for tag, scores in per_tag.items() if scores.get("clips", 1)}


def data_name(bundle: Bundle) -> str:
    """Return the name of the data that a bundle was scored on; empty where it is not recorded."""
    data = bundle.metrics.get("test_data")
    return data["name"] if data else ""


def _test_recordings(bundle: Bundle) -> frozenset[str]:
    trained = bundle.description.get("trained")
    listed = trained.get("test_recordings") if isinstance(trained, dict) else None
    return frozenset(map(str, listed)) if isinstance(listed, list) else frozenset()
