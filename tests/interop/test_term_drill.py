"""Five TERMs under load: `scripts/term-drill` does the same fifty times."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))
import terms  # noqa: E402


def test_stops_under_load_lose_nothing_and_repeat_nothing_that_has_finished(interop_worker_program, tmp_path, monkeypatch):
    # How fast an idle one leaves is measured by the drill itself, on a machine that does nothing else.
    monkeypatch.setattr(terms, "IDLE_SECONDS", 4)
    words = ["--terms", "5", "--idle", "2", "--grace", "16", "--longest", "1", "--overlong-every", "3", "--seed", "1"]
    words += ["--worker-program", str(interop_worker_program)]

    figures = terms.run(terms.options(words), tmp_path)

    assert figures["faults"] == []
    assert figures["terms under load"] == 5 and figures["tasks"] > 20
