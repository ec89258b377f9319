"""Fixtures: the program, where it is built."""

import os
from pathlib import Path

import pytest

from files import ROOT


def absent(what):
    """Skips the test where something is not here; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must have everything")
    pytest.skip(what)


@pytest.fixture(scope="session")
def celeriac():
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()
    program = Path(os.environ.get("CELERIAC_BIN", target / "debug/celeriac")).absolute()
    if not program.exists():
        absent(f"{program} is not built (cargo build -p celeriac-app)")
    return program
