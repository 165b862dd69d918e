"""The viewer's draft, kept where there is a sign-in to come back from."""

import logging
from collections.abc import Mapping

from app import auth, services, state
from app.drafts import Draft

logger = logging.getLogger(__name__)


def save_draft(name: str, data: bytes, form: Mapping[str, object]) -> None:
    """Keep what the viewer is working on.

    Args:
        name: What to call the clip.
        data: Its bytes.
        form: What was typed, as plain JSON values.
    """
    browser_id = _browser_id()
    if browser_id is None:
        return
    draft = Draft(name, data, dict(form), auth.session_owner())
    if state.saved_draft.get() == (browser_id, draft):
        return
    try:
        services.drafts().save(browser_id, draft)
    except OSError as error:
        logger.warning("draft not saved reason=%s", error)
        return
    state.saved_draft.set((browser_id, draft))


def load_draft() -> Draft | None:
    """Return what the viewer was working on before this page was loaded."""
    browser_id = _browser_id()
    if browser_id is None:
        return None
    person = auth.viewer().person
    draft = services.drafts().load(browser_id, person.user_id if person else None)
    if draft and draft.owner:
        auth.claim_session(draft.owner)
    return draft


def delete_draft() -> None:
    """Forget the viewer's draft: it is published, or not wanted any more."""
    browser_id = _browser_id()
    if browser_id is not None:
        services.drafts().delete(browser_id, auth.session_owner())
    state.saved_draft.pop()


def _browser_id() -> str | None:
    """Return the browser's id where drafts are kept for it, else None."""
    return auth.browser_id() if services.sign_ins() is not None else None
