"""A metrics endpoint, asked as a scraper would."""

import http.client

from prometheus_client.parser import text_string_to_metric_families

from tests.support.wait import PATIENCE_S

Values = dict[str, float]


def ask(
    address: str, path: str = "/metrics", method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[int, str]:
    """Status and body."""
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def scrape(address: str) -> Values:
    """Every sample: `procserver_x`, or `procserver_x.VALUE` for one with a label of this value."""
    status, text = ask(address)
    assert status == 200, text
    return values(text)


def values(text: str) -> Values:
    return {
        ".".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
