"""Who did something: people as they are recorded in events and runs, and what they may do."""

import re
from dataclasses import dataclass

_SIGNED = re.compile(r"^(?P<name>.*) \(freesound user (?P<id>[1-9][0-9]{0,18})\)$", re.DOTALL)


@dataclass(frozen=True)
class Person:
    """Somebody signed in with Freesound. The `user_id` stays when the `name` changes, so only it decides about roles."""

    user_id: int
    name: str

    @property
    def actor(self) -> str:
        """How this person stands in events and runs."""
        return f"{self.name[:150]} (freesound user {self.user_id})"


def local_actor(name: str) -> str:
    """How somebody stands there who only gave a name on their own machine; it cannot pass for one who signed in."""
    return " ".join(name.replace("(", "").replace(")", "").split())[:60]


def shown_name(actor: str) -> str:
    """The name of an actor, as people know them."""
    match = _SIGNED.match(actor)
    return match["name"] if match else actor


def user_id(actor: str) -> int | None:
    """The Freesound user id of an actor who was signed in."""
    match = _SIGNED.match(actor)
    return int(match["id"]) if match else None
