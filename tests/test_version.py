"""The version that `status`, `--version` and metrics show is that of the package."""

import tomllib

from procserver.version import __version__
from tests.support.repository import ROOT


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert __version__ == project["version"]
