"""The few settings that travel to a template."""

import json

import msgspec
import pytest

from procserver.settings import Settings
from procserver.shared.worker_config import FIELDS, WorkerConfig


def test_it_travels_as_json() -> None:
    config = WorkerConfig(handler="x:y", generation=3, max_message=9, access_records=True)
    assert WorkerConfig(**json.loads(json.dumps(config.as_dict()))).as_dict() == config.as_dict()
    assert list(config.as_dict()) == list(FIELDS)


def test_a_name_that_it_does_not_have() -> None:
    with pytest.raises(TypeError, match="no 'colour'"):
        WorkerConfig(colour="red")


def test_what_both_have_means_the_same_by_default() -> None:
    """A worker in a test is set up as a service without settings is."""
    settings = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    defaults = WorkerConfig().as_dict()
    shared = defaults.keys() & settings.keys()
    assert len(shared) > 8
    assert {name: defaults[name] for name in shared} == {name: settings[name] for name in shared}


def test_the_configuration_of_a_generation() -> None:
    settings = Settings(framing="line", idle_timeout=5.0, access_log="-", log_format="text")
    config = settings.worker_config("x:y", 7)
    assert (config.handler, config.generation, config.framing, config.idle_timeout) == ("x:y", 7, "line", 5.0)
    assert (config.access_records, config.opened_records) == (True, True)
    quiet = Settings(access_log="").worker_config()
    assert (quiet.access_records, quiet.opened_records) == (False, False)
