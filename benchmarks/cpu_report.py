"""A Locust listener that prints what a test cost its generator: CPU from the first to the last user, and requests."""

import json
import time

from locust import events
from locust.env import Environment

__all__ = ["install"]


def install(name: str) -> None:
    """`name`: the request that is counted."""
    begun: dict[str, float] = {}

    def begin(**_: object) -> None:
        begun["cpu_s"] = time.process_time()

    def end(**_: object) -> None:
        begun["spent_s"] = time.process_time() - begun["cpu_s"]

    def tell(environment: Environment, **_: object) -> None:
        row = environment.stats.get(name, "TCP")
        said = {"cpu_s": begun["spent_s"], "requests": row.num_requests, "failed": row.num_failures}
        print("COST " + json.dumps(said), flush=True)

    events.test_start.add_listener(begin)
    events.test_stop.add_listener(end)
    events.quitting.add_listener(tell)
