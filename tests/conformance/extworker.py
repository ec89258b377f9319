"""pytest plugin: Celery's integration suite, unchanged, against a worker that runs outside of pytest, in any language.

The suite starts a Python worker inside the pytest process. With this plugin (`-p extworker`) none is started: the tests publish to
Redis, and a worker process has to serve them (see `harness`). The plugin takes off the suite's own `flaky` and `timeout` marks (6 tries of
300 s each), sets one time limit for each test, writes the results down, and gives a fresh worker to the test after a failed one.

Environment (scripts/conformance sets all of it; beside it what `worker_ctl` and `harness` read):

    EXTWORKER_RESULTS    the results, tab separated
    EXTWORKER_TRACE      JSON: tasks, control commands and events by test
    EXTWORKER_DESELECT   tests that are not run, each with a condition and the reason
    EXTWORKER_SELECT     test ids: only these are run
    EXTWORKER_REFERENCE  results of the Python worker, from which the time limits come
    EXTWORKER_TIMEOUT    the smallest time limit in seconds [30]
    EXTWORKER_CAP        the largest [none]
    EXTWORKER_ISOLATE    1: a fresh worker and an empty Redis after a failed test [1]
    CONCURRENCY          what the worker was started with
"""

import json
import os
import signal
import sys
from collections import Counter
from contextlib import contextmanager
from types import ModuleType

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import lists  # noqa: E402
from harness import Harness, external_session_worker  # noqa: E402

RESULT_COLUMNS = ("outcome", "seconds", "tries", "nodeid", "detail")


class Plugin:
    def __init__(self, config):
        self.config = config
        self.harness = Harness()
        self.results = {}
        self.conditions = lists.conditions(int(os.environ.get("CONCURRENCY", 1)), self.harness.ctl.nodes)
        self.isolate = os.environ.get("EXTWORKER_ISOLATE", "1") == "1"
        self.floor = float(os.environ.get("EXTWORKER_TIMEOUT", 30))
        self.cap = float(os.environ.get("EXTWORKER_CAP", "inf"))
        self.limits = {}
        self.limit = None  # of the running test
        self.in_phase = False
        self.broken = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_plugin_registered(self, plugin):
        if isinstance(plugin, ModuleType) and plugin.__name__.endswith("integration.conftest"):
            plugin.celery_session_worker = external_session_worker(self.harness)

    def pytest_sessionstart(self):
        if not self.config.option.collectonly:
            self.harness.patch_celery()
            self.harness.open()

    def pytest_sessionfinish(self):
        self.harness.close()
        self.write()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        deselect = list(lists.read_deselect(os.environ.get("EXTWORKER_DESELECT"), self.conditions))
        wanted = lists.read_list(os.environ.get("EXTWORKER_SELECT"))
        reference = lists.read_reference(os.environ.get("EXTWORKER_REFERENCE"))
        keep, dropped = [], []
        for item in items:
            name = lists.short_id(item.nodeid)
            reason = next((why for pattern, why in deselect if lists.matches(name, pattern)), None)
            if wanted and not any(lists.matches(name, pattern) for pattern in wanted):
                dropped.append(item)
            elif reason is not None:
                dropped.append(item)
                self.results[name] = dict(outcome="deselected", seconds=0.0, tries=0, detail=reason)
            else:
                item.own_markers = [mark for mark in item.own_markers if mark.name not in ("flaky", "timeout")]
                self.limits[item.nodeid] = min(self.cap, max(self.floor, 3 * reference.get(name, 0.0) + 15))
                keep.append(item)
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        items[:] = keep
        self.harness.patch_modules()

    # -- time limits
    # Not by pytest-timeout: it interrupts a test once, and a test with subtests swallows that and waits for ever in its next step.

    def on_alarm(self, _signum, _frame):
        if self.in_phase:
            pytest.fail(f"Timeout (>{self.limit:g}s)")

    @contextmanager
    def phase(self):
        self.in_phase = True
        try:
            yield
        finally:
            self.in_phase = False

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item):
        self.prepare(item)
        self.limit = self.limits[item.nodeid]
        signal.signal(signal.SIGALRM, self.on_alarm)
        signal.setitimer(signal.ITIMER_REAL, self.limit, 2.0)
        with self.phase():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self):
        with self.phase():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self):
        try:
            with self.phase():
                return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def prepare(self, item):
        self.harness.current = lists.short_id(item.nodeid)
        if not self.harness.ctl.alive():
            self.harness.restart("the worker's process had ended", flush=True)
        elif self.broken:
            self.harness.restart("after a failed test", flush=True)
        self.broken = False

    # -- results

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report):
        name = lists.short_id(report.nodeid)
        entry = self.results.setdefault(name, dict(outcome=None, seconds=0.0, tries=1, detail=""))
        if report.outcome == "rerun":
            entry["tries"] += 1
        if report.outcome in ("failed", "rerun"):
            self.broken = self.isolate
            entry["detail"] = self.message(report)
        if hasattr(report, "context"):  # one subtest of a test
            if report.outcome == "failed":
                entry["subtest_failed"] = True
            return
        entry["seconds"] += getattr(report, "duration", 0.0)
        if report.outcome == "failed":
            entry["outcome"] = "failed"
        elif report.outcome == "skipped" and entry["outcome"] != "failed":
            xfail = hasattr(report, "wasxfail")
            entry["outcome"] = "xfailed" if xfail else "skipped"
            entry["detail"] = report.wasxfail if xfail else self.skip_reason(report)
        elif report.outcome == "passed" and report.when == "call" and entry["outcome"] != "failed":
            entry["outcome"] = "failed" if entry.get("subtest_failed") else "passed"
            if entry["outcome"] == "passed":
                entry["detail"] = ""
        if report.when == "teardown":
            self.write()

    @staticmethod
    def message(report):
        crash = getattr(report.longrepr, "reprcrash", None)
        text = crash.message if crash else str(report.longrepr or "")
        return " ".join(f"{report.when}: {text}".split())[:300]

    @staticmethod
    def skip_reason(report):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        return " ".join(text.split())[:300]

    def write(self):
        path = os.environ.get("EXTWORKER_RESULTS")
        if path:
            with open(path, "w") as file:
                file.write("# " + "\t".join(RESULT_COLUMNS) + "\n")
                for name, entry in self.results.items():
                    line = str(entry["outcome"]), f"{entry['seconds']:.2f}", str(entry["tries"]), name, entry["detail"]
                    file.write("\t".join(line) + "\n")
        path = os.environ.get("EXTWORKER_TRACE")
        if path:
            with open(path, "w") as file:
                json.dump(self.trace(), file, indent=1, sort_keys=True)

    def trace(self):
        harness = self.harness
        seen = {"tasks": harness.tasks, "controls": harness.controls, "events": harness.events}
        return {
            "nodes": harness.nodes,
            "restarts": harness.restarts,
            "decode_errors": harness.decode_errors,
            "watch_problems": harness.watch.problems,
            "tests": {name: {what: counts.get(name, {}) for what, counts in seen.items()} for name in self.results},
        }

    def pytest_terminal_summary(self, terminalreporter):
        counts = Counter(entry["outcome"] for entry in self.results.values())
        terminalreporter.section("external worker")
        terminalreporter.write_line(f"worker: {', '.join(self.harness.nodes)}, restarts: {dict(self.harness.restarts)}")
        for problem in (self.harness.decode_errors + self.harness.watch.problems)[:20]:
            terminalreporter.write_line(f"undecodable message: {problem}")
        terminalreporter.write_line(
            f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped'] + counts['xfailed']} skipped"
            f" ({counts['deselected']} deselected)"
        )


def pytest_configure(config):
    config.pluginmanager.register(Plugin(config), "extworker-session")
