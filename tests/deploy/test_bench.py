"""scripts/bench: what it makes of recorded figures: ratios, verdicts, the report, its plots. How fast anything is, is not judged here."""

import sys
import xml.etree.ElementTree as ElementTree

import pytest

from files import ROOT

sys.path[:0] = [str(ROOT / "benches/suite"), str(ROOT / "benches"), str(ROOT / "benches/celery")]

import documents  # noqa: E402
import micro  # noqa: E402
import model  # noqa: E402
import report  # noqa: E402
import runtime  # noqa: E402
import targets  # noqa: E402
from bench import commands_besides_care  # noqa: E402
from results import PARTS, Part  # noqa: E402
from targets import Target, judge  # noqa: E402

# A try (scripts/bench --quick) on a busy machine: its form matters, not its figures.
RECORDED = ROOT / "tests/deploy/recorded"
PIECES = {"runtime": runtime.PIECES, "documents": documents.PIECES, "model": model.Model.pieces}


def part(*runs, absent=None):
    """A part with runs as (round, way, value)."""
    records = [{"round": number, "piece": "noop", "way": way, "figures": {"rate": value}} for number, way, value in runs]
    return Part("runtime", data={"part": "runtime", "machine": {}, "rounds": 3, "absent": absent or {}, "runs": records})


def judged(measured, aim, least=True, floor=None, against="theirs"):
    return judge(Target("x", "runtime", "noop", "rate", "ours", aim, least, against, None, floor), {"runtime": measured})


# The second round was a noisy one, for both.
THREE = [(1, "ours", 400), (1, "theirs", 10), (2, "ours", 90), (2, "theirs", 3), (3, "ours", 500), (3, "theirs", 10)]


def test_a_ratio_is_taken_within_a_round_and_its_median_shown():
    verdict = judged(part(*THREE), 40)
    assert (verdict.value, verdict.ours, verdict.theirs, verdict.rounds) == (40, 400, 10, 3)


def test_a_round_that_one_side_lacks_does_not_count():
    verdict = judged(part(*THREE, (4, "ours", 9999)), 40)
    assert (verdict.value, verdict.rounds) == (40, 3)


@pytest.mark.parametrize(
    ("aim", "least", "floor", "said"),
    [
        (40, True, 20, "reached"),
        (41, True, 20, "above the floor"),
        (50, True, 41, "missed"),
        (50, True, None, "missed"),
        (40, False, 50, "reached"),
        (39, False, 50, "below the ceiling"),
        (30, False, 39, "missed"),
    ],
)
def test_an_aim_is_reached_or_missed_by_the_side_it_is_held_to(aim, least, floor, said):
    assert judged(part(*THREE), aim, least, floor).verdict == said


def test_a_value_without_another_side_is_held_to_the_aim_itself():
    verdict = judged(part(*THREE), 12, least=False, against=None)
    assert (verdict.value, verdict.theirs, verdict.verdict) == (400, None, "missed")


def test_what_was_not_measured_says_why():
    alone = [run for run in THREE if run[1] == "ours"]
    assert judged(part(*alone), 4).verdict == "not measured"
    assert judged(part(*alone, absent={"theirs": "pip could not install it"}), 4).verdict == "theirs is absent: pip could not install it"
    failed = part(*alone)
    failed.data["runs"].append({"round": 1, "piece": "noop", "way": "theirs", "error": "Stalled: timeout"})
    assert judged(failed, 4).verdict == "theirs failed: Stalled: timeout"


def test_a_resumed_run_does_again_only_what_failed_or_is_missing(tmp_path):
    measured = Part.fresh(tmp_path, "runtime")
    measured.add(1, "noop", "a", {"rate": 1})
    measured.add(1, "noop", "b", error="it died")
    again = Part.load(tmp_path, "runtime")
    assert [again.has(1, "noop", "a"), again.has(1, "noop", "b"), again.has(2, "noop", "a")] == [True, False, False]
    again.add(1, "noop", "b", {"rate": 2})
    assert again.ratio("noop", "rate", "b", "a") == 2 and len(again.data["runs"]) == 2


def test_a_piece_that_is_measured_again_leaves_the_others_figures(tmp_path):
    measured = Part.fresh(tmp_path, "runtime")
    measured.add(1, "noop", "a", {"rate": 1})
    measured.add(1, "io", "a", {"rate": 2})
    measured.forget(["io"])
    assert measured.pieces() == ["noop"]


def test_every_target_is_about_something_that_is_measured():
    for target in targets.TARGETS:
        ways = PIECES[target.part][target.piece]
        assert target.way in ways, target
        if target.against:
            assert target.against in PIECES[target.part][target.against_piece or target.piece], target


def test_every_scenario_has_its_table_and_every_document_its_size():
    assert set(runtime.PIECES) == set(report.METRICS) == set(report.SCENARIOS)
    assert set(documents.PIECES) == set(documents.PAGES)


def test_the_ideal_of_a_model_counts_questions():
    assert model.beside_ideal(wall=22, asked=500, slots=50, latency=2) == {"ideal_s": 20, "of_ideal": 1.1}


def recorded():
    return {name: Part.load(RECORDED, name) for name in PARTS}


@pytest.fixture
def page(tmp_path):
    copy = tmp_path / "performance.md"
    copy.write_text((ROOT / "docs/performance.md").read_text())
    return copy


def test_the_report_keeps_what_was_written_by_hand_and_is_the_same_twice(page):
    verdicts = report.write(page, recorded())
    first = page.read_text()
    report.write(page, recorded())
    assert page.read_text() == first
    assert "What makes the figures fair" in first and len(verdicts) == len(targets.TARGETS)
    # A row a target, and the figures of each part.
    assert all(f"| {target.what} |" in first for target in targets.TARGETS)
    for words in ("### A chord of 1,000", "### scan, 6 pages", "| process |", "decode_a_message", "BullMQ 6.7.0"):
        assert words in first, words


def test_plots_are_svg_that_the_report_shows(page):
    report.write(page, recorded())
    drawn = sorted(page.parent.glob("performance/*.svg"))
    assert [plot.stem for plot in drawn] == ["latency", "memory", "orchestration", "pages", "rates"]
    for plot in drawn:
        assert ElementTree.parse(plot).getroot().tag.endswith("svg")
        assert "prefers-color-scheme: dark" in plot.read_text()
        assert f"performance/{plot.name})" in page.read_text()


def test_parts_that_were_never_measured_are_said_to_be_so(page, tmp_path):
    nothing = {name: Part.load(tmp_path, name) for name in PARTS}
    assert all(verdict.value is None for verdict in report.write(page, nothing))
    assert page.read_text().count("Not measured yet.") == 4


def test_a_page_without_its_marks_is_refused(page):
    page.write_text(page.read_text().replace("<!-- /bench:targets -->", ""))
    with pytest.raises(SystemExit, match="bench:targets"):
        report.write(page, recorded())


def test_divans_tree_is_read_with_its_arguments_and_allocations():
    rows = micro.read((RECORDED / "divan.txt").read_text())
    assert rows["decode_a_message"]["median_ns"] == pytest.approx(11_400)
    assert rows["decode_a_message"]["allocations"] == 41
    assert rows["render_encode_and_read_a_page_at_150_dpi(120)"]["fastest_ns"] == pytest.approx(9_870_000)
    assert "render_encode_and_read_a_page_at_150_dpi" not in rows


def test_idle_commands_are_counted_without_scripts_heartbeats_and_leases():
    lines = [
        '1.0 [0 127.0.0.1:1] "EVALSHA" "4f6f" "2" "unacked" "unacked_index" "12.0"',
        '1.0 [0 lua] "zrangebyscore" "unacked_index" "0" "1"',
        '1.0 [0 127.0.0.1:2] "PUBLISH" "/0.celeryev/worker.heartbeat" "{}"',
        '1.0 [0 127.0.0.1:1] "TIME"',
        '1.0 [0 127.0.0.1:1] "TIME"',
        "+OK",
    ]
    assert commands_besides_care("\r\n".join(lines).encode()) == {"time": 2}
