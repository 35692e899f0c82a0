"""Manifests in examples/ are what they say: parsed, and their commands understood by the programs that they start."""

import subprocess
import sys
from typing import Any

import yaml

from tests.support.repository import ROOT

LOADTEST = ROOT / "examples" / "kubernetes" / "loadtest.yaml"


def test_the_load_test_in_a_cluster_fits_together() -> None:
    """Workers find the run by the name and port of its Service, and there are as many as it waits for."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(LOADTEST.read_text()))
    service, run, workers = documents
    assert [document["kind"] for document in documents] == ["Service", "Job", "Job"]
    command = _command(run)
    assert service["spec"]["selector"] == run["spec"]["template"]["metadata"]["labels"]
    port = service["spec"]["ports"][0]["port"]
    assert f"--master-bind=0.0.0.0:{port}" in command
    assert _command(workers) == [
        "python",
        "-m",
        "loadtest",
        "worker",
        f"{service['metadata']['name']}:{port}",
    ]
    assert f"--expect-workers={workers['spec']['parallelism']}" in command
    for line in (command, _command(workers)):
        understood = subprocess.run(
            [sys.executable, *line[1:], "--help"], cwd=ROOT, capture_output=True, check=False
        )
        assert understood.returncode == 0, understood.stderr
        flags = [word.partition("=")[0] for word in line if word.startswith("--")]
        assert not [flag for flag in flags if flag not in understood.stdout.decode()]


def _command(job: dict[str, Any]) -> list[str]:
    found: list[str] = job["spec"]["template"]["spec"]["containers"][0]["command"]
    return found
