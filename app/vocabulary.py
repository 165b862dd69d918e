"""Vocabularies for the tag search in the browser: sent once, at an address with their hash."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

import streamlit as st

from app.base_path import base_path

Entry = str | tuple[str, int, tuple[str, ...]]
"""A tag, or (tag, number of sounds that carry it, other names of it)."""
MAX_KEPT = 20
NAME_LENGTH = 16


def vocabulary_url(vocabulary: Iterable[Entry]) -> str:
    """Return the address where a vocabulary can be fetched as `[[tag, count, [alias, ...]], ...]`.

    Args:
        vocabulary: Tags, or (tag, count, aliases).
    """
    name, content = _encoded(tuple(vocabulary))
    kept = _kept()
    kept[name] = content
    kept.move_to_end(name)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
    return f"{base_path()}/vocabulary/{name}"


def vocabulary_json(name: str) -> bytes | None:
    """Return the vocabulary of that name, or None."""
    return _kept().get(name)


@lru_cache(maxsize=MAX_KEPT)
def _encoded(entries: tuple[Entry, ...]) -> tuple[str, bytes]:
    """Return name and content: each card asks for the same one."""
    rows = [[entry, 0, []] if isinstance(entry, str) else entry for entry in entries]
    content = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()
    return f"{hashlib.sha256(content).hexdigest()[:NAME_LENGTH]}.json", content


@st.cache_resource(show_spinner=False)
def _kept() -> OrderedDict[str, bytes]:
    """Return the vocabularies that were asked for last, by name."""
    return OrderedDict()
