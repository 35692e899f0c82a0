"""`run.json` of a run that is compared."""

from typing import Any


def document(**changes: Any) -> dict[str, Any]:
    run: dict[str, Any] = {
        "verdict": "pass",
        "reasons": [],
        "main_request": "message",
        "settings": {
            "connections": 5,
            "rate": None,
            "serve": ["--workers", "3"],
            "host": "tcp://127.0.0.1:1",
        },
        "host": {"cpus": 2, "kernel": "6", "others_cores": 0.3},
        "requests": {
            "message": {"failed": 0, "rate_achieved": 90.0, "response_us": {"p50": 80, "p99": None}}
        },
        "server": {"cpu_us_per_message": 30.0, "pss_per_connection_bytes": -5},
    }
    return run | changes
