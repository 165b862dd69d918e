"""The server: the Streamlit app, its HTTP routes and its middleware. `streamlit run streamlit_app.py` starts it."""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from app import routes, sign_in
from app.browser import BrowserIds
from app.lifespan import lifespan

app = st.App(
    Path(__file__).parent / "app" / "main.py",
    routes=[*routes.ROUTES, *sign_in.ROUTES],
    middleware=[Middleware(BrowserIds)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    app.run()
