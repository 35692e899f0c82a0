"""Pool sizes: the smallest that suffices, and the scalability law, from the capacity of each size. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.answers.capacity.answer import CapacityAnswer
from loadtest.answers.workers.answer import PoolSize
from loadtest.base.units import format_count
from loadtest.statistics import usl

__all__ = ["KNEE_SHARE", "Conclusion", "conclude", "interrupted_early", "pool_size"]

KNEE_SHARE = 0.95  # of the best: measurements differ by more than the rest


class Conclusion(NamedTuple):
    """The fields of WorkersAnswer that follow from the sizes."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    knee: int | None
    best: int | None
    fit: usl.Fit | None
    no_fit: str


def pool_size(workers: int, answers: Sequence[CapacityAnswer], folder: str) -> PoolSize:
    """One size from its searches: the median of their capacities, and the evidence of the last that found one."""
    found = [answer for answer in answers if answer.capacity is not None]
    shown = found[-1] if found else answers[-1]
    rates = [answer.capacity for answer in found if answer.capacity is not None]
    confirmed = shown.stages[-1] if found else None
    return PoolSize(
        workers=workers,
        verdict=shown.verdict,
        capacity=statistics.median(rates) if rates else None,
        at_least=any(answer.at_least for answer in found),
        rates=rates,
        bottleneck=shown.bottleneck,
        server_cores=confirmed.server_cores if confirmed else None,
        p99_us=confirmed.p99_us if confirmed else None,
        reasons=shown.reasons,
        folder=folder,
    )


def conclude(sizes: Sequence[PoolSize], host: Mapping[str, Any], seed: int) -> Conclusion:
    """The knee is the smallest size within KNEE_SHARE of the best, if the best is known."""
    notes = [_cpus(host)]
    unknown = [size for size in sizes if size.verdict == "cannot tell"]
    notes += [f"{size.workers} workers: not known: {'; '.join(size.reasons)}" for size in unknown]
    held = [size for size in sizes if size.capacity is not None]
    fit, no_fit = _fit(held, seed)
    if not held:
        verdict = "cannot tell" if unknown or not sizes else "none"
        reason = "no size of the pool held the lowest load" if verdict == "none" else "no size has an answer"
        return Conclusion(verdict, [reason], notes, None, None, None, no_fit)
    best = max(held, key=_capacity)
    largest = sizes[-1]
    if largest.at_least and largest.bottleneck is not None:
        notes.append(f"at {largest.workers} workers the limit was {largest.bottleneck.words}, not the pool")
    open_ended = [size for size in held if size.at_least]
    if open_ended:
        first = open_ended[0]
        why = first.bottleneck.words if first.bottleneck is not None else "not the service"
        reasons = [
            f"{first.workers} workers carry at least {_rate(first)}: the limit was {why}, so the best is not known"
        ]
        return Conclusion("cannot tell", reasons, notes, None, best.workers, fit, no_fit)
    knee = next(size for size in held if _capacity(size) >= KNEE_SHARE * _capacity(best))
    reasons = [f"{knee.workers} workers carry {_rate(knee)}"]
    if knee is not best:
        reasons[0] += (
            f", {_capacity(knee) / _capacity(best):.0%} of the best, {_rate(best)} with {best.workers}"
        )
    if knee.bottleneck is not None:
        reasons.append(f"limited there by {knee.bottleneck.words}: {'; '.join(knee.bottleneck.reasons)}")
    if knee is largest and len(sizes) > 1:
        notes.append(f"the largest pool was the best: more than {largest.workers} may carry more")
    return Conclusion("answered", reasons, notes, knee.workers, best.workers, fit, no_fit)


def interrupted_early(found: Conclusion, planned: int) -> Conclusion:
    """The conclusion if not all of the `planned` sizes were searched: another one may be the best."""
    why = f"it was interrupted before all {planned} sizes had been searched"
    return found._replace(verdict="cannot tell", knee=None, reasons=[why, *found.reasons])


def _fit(held: Sequence[PoolSize], seed: int) -> tuple[usl.Fit | None, str]:
    measured = [(size.workers, rate) for size in held if not size.at_least for rate in size.rates]
    try:
        return usl.fit(measured, seed), ""
    except ValueError as error:
        return None, str(error)


def _capacity(size: PoolSize) -> float:
    return size.capacity or 0.0


def _rate(size: PoolSize) -> str:
    return f"{format_count(size.capacity)}/s"


def _cpus(host: Mapping[str, Any]) -> str:
    quota = host["cpu_quota"]
    return (
        f"the host has {host['cpus']} CPUs, {host['cpus_allowed']} of them allowed to this process, "
        f"{'no quota' if quota is None else f'with a quota of {quota:g}'}"
    )
