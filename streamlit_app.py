"""The server: the Streamlit app, its HTTP routes and its middleware.

`streamlit run streamlit_app.py` starts it.
"""

from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from app.browser import BrowserIds
from app.component_messages import ComponentMessages
from app.index_page import IndexPage
from app.lifespan import lifespan
from app.request_checks import RequestChecks
from app.routes import ROUTES
from app.security_headers import SecurityHeaders
from app.upload_limits import UploadLimits

app = st.App(
    Path(__file__).parent / "app" / "main.py",
    routes=ROUTES,
    middleware=[
        Middleware(SecurityHeaders),
        Middleware(RequestChecks),
        Middleware(BrowserIds),
        Middleware(IndexPage),
        Middleware(UploadLimits),
        Middleware(ComponentMessages),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    app.run()
