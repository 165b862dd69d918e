"""Random faults with a random seed, so that a test finds the same ones again."""

import random
from dataclasses import dataclass, field

from tests.servers.faults import Fault


@dataclass
class Chaos:
    """Random faults with a probability per request.

    Attributes:
        random: The generator.
        unavailable: Probability of a 503.
        drop_before: Probability that the connection is closed before the work is done.
        drop_after: Probability that it is closed after the work is done.
        delayed: Probability of a late answer.
        seconds: How late it is.
        done: Number of faults of each kind so far.
    """

    random: random.Random
    unavailable: float = 0.0
    drop_before: float = 0.0
    drop_after: float = 0.0
    delayed: float = 0.0
    seconds: float = 0.02
    done: dict[str, int] = field(default_factory=dict)

    def next(self) -> Fault | None:
        """Return what goes wrong with the next request, None if nothing does."""
        dice = self.random.random()
        for name, probability, fault in (
            ("503", self.unavailable, Fault(status=503, processed=False)),
            ("dropped before", self.drop_before, Fault(drop="before", processed=False)),
            ("dropped after", self.drop_after, Fault(drop="after")),
            ("delayed", self.delayed, Fault(delay=self.seconds)),
        ):
            if dice < probability:
                self.done[name] = self.done.get(name, 0) + 1
                return fault
            dice -= probability
        return None
