"""Page set-up and navigation."""

from pathlib import Path

import streamlit as st

from app import session
from app.leave import leave_for
from app.sign_in import RETURN_PATHS, login_url
from core.errors import EarmarkError

PAGES = Path(__file__).resolve().parents[1] / "pages"
ASSETS = Path(__file__).resolve().parent / "assets"

st.set_page_config(page_title="Earmark", page_icon=str(ASSETS / "icon.png"), layout="wide")
st.logo(str(ASSETS / "logo.png"), size="large", icon_image=str(ASSETS / "icon.png"))
page = st.navigation(
    [
        st.Page(PAGES / "monitor.py", title="Monitor", icon=":material/graphic_eq:", default=True),
        st.Page(PAGES / "try_your_sound.py", title="Try your sound", icon=":material/mic:", url_path="try"),
        st.Page(PAGES / "metrics.py", title="Model metrics", icon=":material/monitoring:", url_path="metrics"),
    ]
)
try:
    session.sign_in_box()
    page.run()
    if st.session_state.pop("leaving", False):
        path = f"/{page.url_path}"
        leave_for(login_url(path if path in RETURN_PATHS else "/"))
except EarmarkError as error:
    session.show_error(error)
