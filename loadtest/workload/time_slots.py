"""Time slots: two runs at the same time take turns, so that they do not disturb each other. Pure.

Time since both began is cut into slots of one length, which belong to the two runs in turns. A run's *own time* is what
has passed in its own slots; users and plans count in it, and it is converted to times of the clock. In the last part of
its slot a run begins nothing: its requests end before the other's slot.

    clock   |--0--------|--1--------|--2--------|--3--------|
    run 0   |=========  |           |=========  |           |
    run 1   |           |=========  |           |=========  |

What drifts on a host, its clock rate, its neighbours, changes slowly against a slot, and so affects both runs alike
(the randomised block of R. A. Fisher, The Design of Experiments, 1935, in time).
"""

from typing import NamedTuple

SLOT_MIN_S, SLOT_MAX_S = 0.02, 10.0
BEGINNING_SHARE = 0.9  # of a slot, in which requests are begun
EDGE_S = 1e-9  # a multiple of a slot, divided by it, may fall short of a whole number


class Slots(NamedTuple):
    """Run `number` of two. `slot_s` 0: a run alone, whose own time is the clock's. All times since the beginning."""

    slot_s: float = 0.0
    number: int = 0

    @property
    def own_share(self) -> float:
        """The share of the clock's time that is the run's own."""
        return BEGINNING_SHARE / 2 if self.slot_s else 1.0

    def own(self, elapsed_s: float) -> float:
        """The own time that has passed after `elapsed_s`."""
        if not self.slot_s:
            return elapsed_s
        before, into_s = divmod(max(0.0, elapsed_s), 2 * self.slot_s)
        length_s = BEGINNING_SHARE * self.slot_s
        return before * length_s + min(max(0.0, into_s - self.number * self.slot_s), length_s)

    def elapsed(self, own_s: float) -> float:
        """The elapsed time at which `own_s` has passed; between two slots, the beginning of the second."""
        if not self.slot_s:
            return own_s
        before, into_s = divmod(own_s + EDGE_S, BEGINNING_SHARE * self.slot_s)
        return (2 * before + self.number) * self.slot_s + into_s

    def wait_s(self, elapsed_s: float) -> float:
        """How long to wait then until a request may begin."""
        if not self.slot_s:
            return 0.0
        into_s = (elapsed_s - self.number * self.slot_s) % (2 * self.slot_s)
        return 0.0 if into_s < BEGINNING_SHARE * self.slot_s else 2 * self.slot_s - into_s

    def paced(self, last_s: float, pacing_s: float, drawn: float) -> float:
        """The own time of a user's next turn after its last; `drawn` is a random number from 0 to 1.

        In a new slot the phase of the user within its pace is drawn anew: else the phases that the users happen to have
        at the start would bias the whole run.
        """
        due_s = last_s + pacing_s
        if not self.slot_s:
            return due_s
        length_s = BEGINNING_SHARE * self.slot_s
        next_slot_s = ((last_s + EDGE_S) // length_s + 1) * length_s
        return due_s if due_s < next_slot_s else next_slot_s + drawn * pacing_s


ALONE = Slots()
