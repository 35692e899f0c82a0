"""Lines of progress: each is whole, and without a reader the test goes on."""

import json
import os

from loadtest.engine.progress_pipe import ProgressPipe


def test_each_report_is_a_line() -> None:
    reader, writer = os.pipe()
    pipe = ProgressPipe(writer)
    pipe.send({"ready": True})
    pipe.send({"users": 3})
    os.close(writer)
    with os.fdopen(reader) as lines:
        assert [json.loads(line) for line in lines] == [{"ready": True}, {"users": 3}]


def test_a_reader_that_has_gone_ends_the_reports_not_the_test() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    pipe = ProgressPipe(writer)
    pipe.send({"users": 3})
    os.close(writer)
    assert pipe.fd is None
    pipe.send({"users": 4})


def test_a_reader_that_does_not_read_does_not_block_the_test() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    pipe = ProgressPipe(writer)
    for i in range(100_000):
        pipe.send({"users": i})
        if pipe.fd is None:
            break
    os.close(reader)
    os.close(writer)
    assert pipe.fd is None
