"""The root of every error that Earmark raises on purpose."""


class EarmarkError(Exception):
    """Something a person can act on; its text is one sentence that may be shown as it is."""
