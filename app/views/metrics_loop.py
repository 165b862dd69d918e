"""What retraining gains, measured with a scripted curator on real clips."""

import csv
from functools import lru_cache
from pathlib import Path

import streamlit as st

from app.views.table import SIGNED, table

TABLE = Path(__file__).parents[1] / "assets" / "loop.csv"
"""Written by `python -m training simulate`."""
ORDERS = {
    "none": "no corrections, trained on",
    "most informative": "most informative first",
    "random": "random order",
}


def simulated_loop() -> None:
    """Draw the table, folded; nothing where it is missing."""
    rows = _rows()
    if not rows:
        return
    with st.expander("What corrections are worth", icon=":material/school:"):
        st.caption(
            "A model trained on half of the default model's recordings; a scripted curator "
            "corrects sounds of others from their true labels, with 5% mistakes. PR-AUC on "
            "recordings that neither had, mean over the splits, and the gain's spread."
        )
        table(rows, columns={"Gain": SIGNED}, width="content", key="loop")


@lru_cache
def _rows() -> list[dict[str, object]]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [_row(row) for row in csv.DictReader(file)]


def _row(row: dict[str, str]) -> dict[str, object]:
    low, high = (f"{float(row[name]):+.3f}" for name in ("low", "high"))
    return {
        "Corrected sounds": row["corrections"],
        "Order": ORDERS.get(row["order"], row["order"]),
        "Before": f"{float(row['champion']):.3f}",
        "After": f"{float(row['challenger']):.3f}",
        "Gain": float(row["gain"]),
        "Standard deviation": f"{float(row['sd']):.3f}",
        "Least to greatest": f"[{low}, {high}]",
        "Splits": row["seeds"],
    }
