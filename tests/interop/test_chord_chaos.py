"""Chords under chaos for seconds: `scripts/chord-chaos` does the same for longer."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import chords  # noqa: E402


@pytest.mark.parametrize("python_workers", [0, 1])
def test_each_chord_sends_its_body_or_errback_once_in_chaos(
    interop_worker_program, tmp_path, python_workers
):
    words = ["--chords", "40", "--parts", "10", "--later", "3", "--patience", "40", "--seed", str(python_workers)]
    words += ["--python-workers", str(python_workers), "--worker-program", str(interop_worker_program)]

    figures = chords.run(chords.options(words), tmp_path)

    assert figures["faults"] == []
    assert figures["kills"] and figures["second copies"] == figures["messages sent"]
    assert figures["bodies sent"] + figures["errbacks sent"] == 40
