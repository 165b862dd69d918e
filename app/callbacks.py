"""What a press or a choice does, safe from errors."""

import functools
from collections.abc import Callable
from typing import ParamSpec

from app.views.errors import show_error
from core.errors import EarmarkError

Parameters = ParamSpec("Parameters")


def callback(act: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """Let what a press or a choice does show an error of ours at the top of the page.

    Streamlit calls it before it draws the page, outside of the page's own handling.
    """

    @functools.wraps(act)
    def act_or_show(*args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
        try:
            act(*args, **kwargs)
        except EarmarkError as error:
            show_error(error)

    return act_or_show
