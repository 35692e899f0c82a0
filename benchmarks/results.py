"""What a benchmark answers: a table, bounds that were judged, and remarks."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

__all__ = ["Bound", "Result"]

SHOWN_BOUNDS_MAX = 4


@dataclass
class Bound:
    """`extra` says what was too much, when it is."""

    what: str
    value: float
    at_most: float
    ok: bool
    extra: str = ""


@dataclass
class Result:
    """`skipped` tells what is missing where nothing could be measured; that is no failure where nothing is judged."""

    name: str
    columns: Sequence[str] = ()
    rows: list[list[str | float]] = field(default_factory=list)
    bounds: list[Bound] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    judges: bool = True

    @property
    def ok(self) -> bool:
        return not (self.skipped and self.judges) and all(bound.ok for bound in self.bounds)

    def add(self, *row: str | float) -> None:
        self.rows.append([round(value, 3) if isinstance(value, float) else value for value in row])

    def judge(self, what: str, value: float, at_most: float, extra: str = "") -> None:
        self.bounds.append(Bound(what, round(value, 3), at_most, value <= at_most, extra))

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "ok": self.ok}

    def __str__(self) -> str:
        lines = [self.name, f"  skipped: {self.skipped}"] if self.skipped else [self.name]
        lines += _table([list(self.columns), *self.rows]) if self.rows else []
        missed = [bound for bound in self.bounds if not bound.ok]
        for bound in missed if len(self.bounds) > SHOWN_BOUNDS_MAX else self.bounds:
            verdict = "ok" if bound.ok else "MISSED"
            lines.append(f"  {verdict}: {bound.what}: {bound.value:g}, at most {bound.at_most:g}")
            lines += [f"    {bound.extra}"] if bound.extra and not bound.ok else []
        if len(self.bounds) > SHOWN_BOUNDS_MAX:
            lines.append(f"  {len(self.bounds) - len(missed)} of {len(self.bounds)} bounds are kept")
        return "\n".join(lines + [f"  {note}" for note in self.notes])


def _table(rows: list[list[str | float]]) -> list[str]:
    """Aligned columns: the first to the left, the others to the right."""
    cells = [[f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  " + "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in cells
    ]
