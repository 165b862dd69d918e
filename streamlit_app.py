"""The server: the Streamlit app and its HTTP routes. `streamlit run streamlit_app.py` starts it."""

from pathlib import Path

import streamlit as st

from app.routes import ROUTES

app = st.App(Path(__file__).parent / "app" / "main.py", routes=ROUTES)

if __name__ == "__main__":
    app.run()
