"""What the clients of a test did, to be held against what the server counted."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tally:
    """Connections that the server must have accepted, and messages that a handler must have been given."""

    connections: int = 0
    messages: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    def expect(self, outcome: str, count: int = 1) -> None:
        """So many of the connections end like this."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count

    def check_records(self, records: list[dict[str, Any]]) -> None:
        """The access log has one record for each connection, and they add up to ours."""
        ids = [record["id"] for record in records]
        assert len(ids) == len(set(ids)), "two connections have one id"
        assert (len(records), sum(r["messages"] for r in records)) == (self.connections, self.messages), (
            f"clients: {self.connections} connections, {self.messages} messages; access log: {records}"
        )
        for outcome, count in self.outcomes.items():
            assert [r["outcome"] for r in records].count(outcome) == count, (outcome, records)

    def check_totals(self, totals: dict[str, Any], records: list[dict[str, Any]]) -> None:
        """The scoreboard's sums are those of the access log, and no record was dropped."""
        for key in ("messages", "bytes_in", "bytes_out"):
            assert totals[key] == sum(record[key] for record in records), (key, totals, records)
        assert totals["connections"] == len(records), totals
        assert totals["records_dropped"] == 0
        outcomes = dict.fromkeys(totals["outcomes"], 0)
        for record in records:
            outcomes[record["outcome"].partition(":")[0]] += 1
        assert totals["outcomes"] == outcomes
