"""Small events for workspace tests."""

from core.id2prediction import Event, Media, ModelRef, Predicted, Sound, Suggestion, fold, new_event, review

V1, V2 = (ModelRef(name="cnn", version=version, fingerprint="f") for version in (1, 2))


def predicted(number: int, *tags: str, model: ModelRef = V1, media: Media = Media(), title: str = "") -> Event:
    top = tuple(Suggestion(tag=tag, probability=0.9, above_threshold=True) for tag in tags or ("dog", "bark"))
    payload = Predicted(model=model, top=top, sound=Sound(title=title or f"sound {number}", source="test"), media=media)
    return new_event(payload, f"freesound:{number}", "job")


def reviewed(history: list[Event], tags: list[str], actor: str = "ada") -> Event:
    event = review(fold(history), tags, actor)
    assert event is not None
    return event
