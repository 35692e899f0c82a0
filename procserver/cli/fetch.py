"""`procserver fetch`: the tutorial's page fetcher."""

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import click

from procserver.cli.options import errors_shown, parsed_by, seconds_option
from procserver.clients.fetch import MAX_BYTES, TIMEOUT_S, TOTAL_TIMEOUT_S, Response, open_url, tls_context
from procserver.clients.http_request import Url, parse_url
from procserver.observer.log_text import escape_unprintable

MIB = 1024 * 1024
PROGRESS_FROM_BYTES = MIB
PROGRESS_EVERY_S = 0.1
SECONDS_MAX = 86_400


@click.command(
    epilog="Example: procserver fetch https://example.org/ -o page.html",
    short_help="Fetch a page over a bare socket.",
)
@click.argument("url", metavar="URL", callback=parsed_by(parse_url))
@click.option("-o", "--output", default="-", metavar="FILE", help="Save the body there, whole or not at all.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=0),
    default=MAX_BYTES,
    show_default=True,
    help="How long the body may be.",
)
@seconds_option(
    "--timeout",
    TIMEOUT_S,
    SECONDS_MAX,
    "How long each wait may take: connecting, the TLS handshake, the next bytes.",
)
@seconds_option("--total-timeout", TOTAL_TIMEOUT_S, SECONDS_MAX, "How long the whole fetch may take.")
@click.option(
    "--cacert", default="", metavar="FILE", help="Trust the certificates in this PEM file, no others."
)
@click.option("--insecure", is_flag=True, help="Trust any certificate, an impostor's too.")
def fetch(url: Url, output: str, cacert: str, insecure: bool, **bounds: Any) -> None:
    """Fetch URL (http or https): print the status line and the headers, print or save the body.

    Without -o the body goes to stdout and the head to stderr, so that the body can be piped. Redirects
    are not followed: their target is shown. Only the body of a 2xx answer is saved.
    Exit code 0: a 2xx answer came whole; 1: another answer, or a broken one; 2: usage.
    """
    if cacert and insecure:
        raise click.UsageError("--cacert and --insecure exclude each other")
    with errors_shown(), _stopped_cleanly():
        tls = tls_context(cacert=cacert, insecure=insecure) if url.scheme == "https" else None
        with open_url(url, tls=tls, **bounds) as response:
            _deliver(response, output)


def _deliver(response: Response, output: str) -> None:
    good = 200 <= response.status < 300
    to_stdout = output == "-"
    _show_head(response, err=to_stdout)
    if to_stdout:
        _copy(response, sys.stdout.buffer, beside_the_body=sys.stdout.isatty())
    elif good:
        try:
            with whole_file(output) as out:
                size = _copy(response, out, beside_the_body=False)
        except OSError as error:
            raise click.ClickException(f"cannot write {output}: {error.strerror}") from None
        click.echo(f"saved {size} bytes to {output}")
    if response.redirect:
        raise click.ClickException(f"not followed: a redirect to {escape_unprintable(response.redirect)}")
    if not good:
        not_saved = "" if to_stdout else f"; {output} is not written"
        raise click.ClickException(
            f"the answer is {response.status} {escape_unprintable(response.reason)}{not_saved}"
        )


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[BinaryIO]:
    """Open a file for writing that gets its name only if the context ends without an error.

    Until then the bytes are in a hidden file beside it, and an old file keeps the name. A link
    stays a link; a device or a pipe is written to directly.
    """
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as out:
            yield out
        return
    part = os.path.join(os.path.dirname(target), f".fetch-{secrets.token_hex(8)}.part")
    try:  # from before the file exists: an interrupt between its creation and this line would leave it there
        with open(part, "xb") as out:
            if os.path.exists(target):
                os.fchmod(out.fileno(), os.stat(target).st_mode & 0o7777)
            yield out
            out.flush()
            os.fsync(out.fileno())  # else a crash may leave the name with nothing behind it
        os.replace(part, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _show_head(response: Response, *, err: bool) -> None:
    click.echo(escape_unprintable(f"HTTP/{response.version} {response.status} {response.reason}"), err=err)
    for name, value in response.headers:
        click.echo(escape_unprintable(f"{name}: {value}"), err=err)
    click.echo(err=err)


def _copy(response: Response, out: BinaryIO, *, beside_the_body: bool) -> int:
    """Copy the body and return its size in bytes; show progress unless the body goes to the same terminal."""
    size = 0
    drawn_at = 0.0
    watched = sys.stderr.isatty() and not beside_the_body
    try:
        for chunk in response:
            out.write(chunk)
            size += len(chunk)
            if watched and size >= PROGRESS_FROM_BYTES and time.monotonic() - drawn_at >= PROGRESS_EVERY_S:
                drawn_at = time.monotonic()
                click.echo(f"\r\x1b[K{_progress(size, response.content_length)}", err=True, nl=False)
    finally:
        if drawn_at:
            click.echo("\r\x1b[K", err=True, nl=False)
    out.flush()
    return size


def _progress(size: int, total: int | None) -> str:
    if not total:
        return f"{size / MIB:.1f} MiB"
    return f"{size / MIB:.1f} of {total / MIB:.1f} MiB, {100 * size // total} %"


@contextlib.contextmanager
def _stopped_cleanly() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that a half-written file is removed."""

    def exit_by(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, exit_by) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
