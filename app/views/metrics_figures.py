"""A score as a large figure, with its interval below."""

from collections.abc import Sequence

import streamlit as st


def score_metric(
    label: str, value: float | None, interval: Sequence[float] | None, meaning: str | None = None
) -> None:
    """Draw a score.

    Args:
        label: Of the score.
        value: From 0 to 1; None where it is not known.
        interval: Low and high end of its 95 % interval; None or empty where there is none.
        meaning: Of the label.
    """
    st.metric(
        label,
        "–" if value is None else f"{value:.3f}",
        delta=f"95%: {interval[0]:.3f} to {interval[1]:.3f}" if interval else None,
        delta_color="off",
        delta_arrow="off",
        help=meaning,
        border=True,
    )
