"""Importing this imports what the app imports, but not the app, which reads its settings then."""

import importlib

LIBRARIES = (
    "authlib.integrations.requests_client",
    "core.pipeline.tagging",
    "core.publishing.upload",
    "core.storage.active_model",
    "onnxruntime",
    "pandas",
    "plotly.graph_objects",
    "pyarrow",
    "streamlit.web.cli",
    "streamlit.web.server.starlette.starlette_app",
)

for name in LIBRARIES:
    importlib.import_module(name)
