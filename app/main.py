"""Page set-up and navigation."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from app import auth, services, state, upload_limits
from app.components.redirect import redirect
from app.routes import login_url, page_url
from app.views.browser_notice import browser_notice
from app.views.errors import show_error
from app.views.sign_in_box import sign_in_box
from core.errors import EarmarkError

PAGES = Path(__file__).resolve().parents[1] / "pages"
ASSETS = Path(__file__).resolve().parent / "assets"


def main() -> None:
    """Draw the current page, with the viewer and the other pages above it."""
    st.set_page_config(
        page_title="Earmark",
        page_icon=str(ASSETS / "icon.png"),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    st.logo(str(ASSETS / "logo.png"), size="large", icon_image=str(ASSETS / "icon.png"))
    st.html(ASSETS / "app.css")
    page = st.navigation(pages(), position="top")
    path = f"/{page.url_path}"
    try:
        if path != state.page_path.get():
            upload_limits.end_uploads()
            state.listed_page.pop()  # who comes back to the list sees it as it is then
        state.page_path.set(path)
        if auth.has_session_ended():
            redirect(page_url(path))
            return
        sign_in_box()
        browser_notice(path)
        page.run()
        account = state.sign_in_requested.pop()
        if account:
            redirect(login_url(path, account), own_tab=page_url(path))
    except EarmarkError as error:
        show_error(error)


def pages() -> list[StreamlitPage]:
    """Return the pages; "Your uploads" only where something can be published."""
    monitor = _page("monitor.py", "Monitor", "graphic_eq", default=True)
    try_page = _page("try_your_sound.py", "Try your sound", "mic", "try")
    batch = _page("batch.py", "Batch", "library_music", "many")
    uploads = _page("uploads.py", "Your uploads", "cloud_upload", "uploads")
    metrics = _page("metrics.py", "Model metrics", "monitoring", "metrics")
    if services.can_publish():
        return [monitor, try_page, batch, uploads, metrics]
    return [monitor, try_page, batch, metrics]


def _page(
    file: str, title: str, icon: str, path: str | None = None, *, default: bool = False
) -> StreamlitPage:
    return st.Page(
        PAGES / file, title=title, icon=f":material/{icon}:", url_path=path, default=default
    )


main()
