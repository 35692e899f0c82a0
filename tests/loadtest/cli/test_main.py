"""`python -m loadtest run`: wrong usage is refused before anything starts."""

from pathlib import Path

import pytest

from tests.support.loadtest_runs import (
    invoke,
)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ((), "either --serve ARGS (start a server) or --host"),
        (("--serve", "", "--host", "tcp://127.0.0.1:9"), "either --serve ARGS"),
        (("--serve", "", "--connections", "0"), "--connections 0: allowed are 1 to 20000"),
        (("--serve", "", "--threshold", "speed<9"), "--threshold there is no metric 'speed'"),
        (("--serve", "--framing line", "--framing", "raw"), "but --serve says --framing line"),
        (("--serve", "'"), "No closing quotation"),
        (("--host", "udp://127.0.0.1:9"), "no such scheme as udp://; allowed are tcp://HOST:PORT"),
        (("--serve", "", "--duration", "soon"), "'soon' is no duration"),
    ],
)
def test_usage_is_refused_before_anything_starts(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """Exit code 2, one clear line, and no folder of results that looks like a run."""
    done = invoke("run", *args, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert says in done.last_line
    assert not (tmp_path / "r" / "run.json").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    """Results are never mixed, nor overwritten."""
    (tmp_path / "mine").write_text("precious")
    done = invoke("run", "--serve", "", "--results", str(tmp_path))
    assert (done.exit_code, [path.name for path in tmp_path.iterdir()]) == (2, ["mine"])
    assert "it is not empty" in done.last_line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--rate", "0"), "--rate 0/s: allowed are 0.01/s to 1000000/s"),
        (("--rate", "200000"), "--rate 200000/s: more than 100000/s for each of 1 processes"),
        (("--rate", "100", "--pacing", "1s"), "--pacing 1s: with --rate the schedule says"),
        (("--scenario", "ramp"), "--scenario ramp: it varies the rate, so it needs --rate"),
        (("--arrivals", "poisson"), "--arrivals poisson: a closed loop has no arrivals; it needs --rate"),
        (("--threshold", "achieved>99%"), "a closed loop has no plan; it needs --rate"),
        (("--threshold", "message.lag.p99<1ms"), "a closed loop has no plan; it needs --rate"),
        (("--connect-rate", "0"), "--connect-rate 0/s: allowed are 0.01/s"),
        (("--seed", "-1"), "--seed -1: allowed are 0 to"),
    ],
)
def test_what_makes_no_plan_is_refused(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    """Before anything starts, naming the option, its value and what is allowed."""
    done = invoke("run", "--serve", "", *args, "--results", str(tmp_path / "r"))
    assert (done.exit_code, (tmp_path / "r").exists()) == (2, False)
    assert says in done.last_line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ("--host", "tls://127.0.0.1:1", "--tls-ca", "no.pem"),
            "--tls-ca 'no.pem': No such file or directory",
        ),
        (
            ("--host", "tls://127.0.0.1:1", "--tls-insecure", "--tls-server-name", "a"),
            "--tls-insecure: give either it or --tls-ca",
        ),
        (("--host", "tcp://127.0.0.1:1", "--tls-insecure"), "they are for --host tls://HOST:PORT"),
        (("--serve", "", "--source-address", "192.0.2.1"), "'192.0.2.1': not an address of this machine"),
        (("--serve", "", "--source-address", "here"), "--source-address 'here': no IP address"),
        (("--host", "unix:///tmp/s", "--source-address", "127.0.0.1"), "come from no address"),
        (("--host", "tls://127.0.0.1:0"), "a port from 1 to 65535; allowed are tcp://HOST:PORT, tls://"),
        (("--host", "unix://"), "its path has 0 bytes"),
    ],
)
def test_what_cannot_be_reached_is_refused(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = invoke("run", *args, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert says in done.last_line


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--scenario", "slow", "--beside", "lots"), "'lots' is no share; write 20% or 0.2"),
        (("--scenario", "slow", "--beside", "100%"), "of 50 connections 50 would be of the scenario 'slow'"),
        (("--scenario", "slow", "--beside", "0.1%"), "of 50 connections 0 would be"),
        (("--beside", "20%"), "scenario 'steady' has no background users"),
        (("--scenario", "churn", "--every", "1ms"), "--every 0.001s: allowed are 0.1s to 3600s"),
        (("--threshold", "slow.deaf.p99<1s"), "there is no metric 'slow.deaf.p99'"),
    ],
)
def test_company_that_cannot_be_is_refused(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = invoke("run", "--serve", "", *args, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert says in done.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--expect-workers", "-1"), "--expect-workers -1: allowed are 0 to 1000"),
        (
            ("--expect-workers", "51"),
            "--expect-workers 51: more than connections that are not in the background",
        ),
        (
            ("--expect-workers", "2", "--processes", "2"),
            "with --expect-workers each process is started by itself",
        ),
        (("--expect-workers", "2", "--master-bind", "here"), "'here': it has no port; allowed are HOST:PORT"),
        (("--expect-workers", "2", "--source-address", "127.0.0.1"), "it is an option of each worker"),
    ],
)
def test_what_no_workers_can_do_is_refused(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = invoke("run", "--serve", "", *args, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert says in done.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--serve", ""), "it needs --host"),
        (("--host", "tcp://127.0.0.1:1", "--control", "/tmp/c"), "either it, for a server on another host"),
        (("--host", "tcp://127.0.0.1:1", "--pid", "1"), "either it, for a server on another host"),
    ],
)
def test_it_is_for_one_that_runs_elsewhere(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    done = invoke("run", *args, "--metrics", "http://127.0.0.1:1/metrics", "--results", str(tmp_path / "r"))
    assert (done.exit_code, says in done.last_line) == (2, True), done
