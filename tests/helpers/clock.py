"""A clock that tests move."""


class Clock:
    """A clock that stands until `now`, in seconds, is moved."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
