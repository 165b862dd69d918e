"""People as they are recorded in events and runs."""

import re
from dataclasses import dataclass

MAX_SIGNED_NAME_LENGTH, MAX_LOCAL_NAME_LENGTH = 150, 60
_SIGNED = re.compile(r"^(?P<name>.*) \(freesound user (?P<id>[1-9][0-9]{0,18})\)$", re.DOTALL)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in with Freesound.

    Attributes:
        user_id: Stays when the name changes, so it alone decides about roles.
        name: The name on Freesound.
    """

    user_id: int
    name: str

    @property
    def actor(self) -> str:
        """Return the text that stands for this person in events and runs."""
        return f"{self.name[:MAX_SIGNED_NAME_LENGTH]} (freesound user {self.user_id})"


def local_actor(name: str) -> str:
    """Return the text that stands for somebody who only gave a name on their own machine.

    It cannot be taken for that of a person who signed in.
    """
    without_brackets = name.replace("(", "").replace(")", "")
    return " ".join(without_brackets.split())[:MAX_LOCAL_NAME_LENGTH]


def shown_name(actor: str) -> str:
    """Return an actor's name without the user id."""
    match = _SIGNED.match(actor)
    return match["name"] if match else actor


def user_id(actor: str) -> int | None:
    """Return the Freesound user id of an actor who was signed in; None for any other."""
    match = _SIGNED.match(actor)
    return int(match["id"]) if match else None
