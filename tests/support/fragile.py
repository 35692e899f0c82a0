"""A greeting whose workers cannot start while a file is there; each that tries adds a byte to it."""

import os

from procserver.handler.greeting import Greeting

BROKEN = "TESTS_BROKEN"  # names the file


class Fragile(Greeting):
    def setup(self) -> None:
        path = os.environ[BROKEN]
        if os.path.exists(path):
            with open(path, "ab", buffering=0) as file:
                file.write(b".")
            raise RuntimeError(f"broken while {path} is there")
