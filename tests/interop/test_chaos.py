"""The short forms of `scripts/chaos`: what is promised in docs/reliability.md, for seconds each."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import clocks  # noqa: E402
import scenarios  # noqa: E402
from conftest import absent  # noqa: E402


# R10, R14 to R16, R18, R24, R26 and R32 take longer and are left to scripts/chaos.
NAMES = ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R11", "R12", "R13", "R20", "R25", "R27", "R28", "P27", "points", "tenants"]
# What is acked early and what Redis has lost is lost; their faults tell it from the rest.
MAY_LOSE = ["R2", "R7"]


@pytest.mark.parametrize("name", NAMES)
def test_a_celeriac_worker_keeps_the_promise(interop_worker_program, tmp_path, name):
    if name == "R27" and not clocks.library():
        absent("libfaketime is not installed")
    words = [name, "--seed", "1", "--worker-program", str(interop_worker_program)]

    figures = scenarios.run(name, scenarios.options(words), tmp_path)

    assert figures["faults"] == []
    if "lost" in figures and name not in MAY_LOSE:
        assert figures["lost"] == 0
