"""The systemd units (S1.13, S4.31), as systemd itself sees them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import absent
from files import UNITS, unit

NAMES = ["celeriac-serve.service", "celeriac-worker@page_processing.service"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A system with our units and the programs they start."""
    if not shutil.which("systemd-analyze"):
        absent("systemd-analyze is not installed")
    root = tmp_path_factory.mktemp("system")
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    shutil.copytree(UNITS, root / "etc/systemd/system")
    for program in ("usr/local/bin/celeriac", "bin/kill"):
        path = root / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return root


def analyze(root, *words):
    env = {**os.environ, "SYSTEMD_COLORS": "0", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(["systemd-analyze", f"--root={root}", *words], env=env, capture_output=True, text=True)
    return ran.returncode, ran.stdout + ran.stderr


def test_systemd_finds_nothing_wrong(root):
    assert analyze(root, "verify", *NAMES) == (0, "")


def test_it_would_find_a_mistake(root):
    wrong = root / "etc/systemd/system/wrong.service"
    wrong.write_text((UNITS / "celeriac-serve.service").read_text().replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "Unknown key 'NoNewPrivilege'" in analyze(root, "verify", "wrong.service")[1]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_locked_in(root, name):
    code, said = analyze(root, "security", "--offline=true", "--threshold=20", name)
    assert code == 0, said
    assert float(re.search(r"exposure level.*: ([\d.]+) ", said)[1]) <= 2.0


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.service")), ids=lambda path: path.name)
def test_children_can_still_lock_themselves_in(path):
    allowed = " ".join(value for _, key, value in unit(path) if key == "SystemCallFilter").split()
    assert {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "seccomp", "prlimit64"} <= set(allowed)


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.service")), ids=lambda path: path.name)
def test_what_fails_is_started_again_and_what_is_misconfigured_is_not(path):
    values = {key: value for _, key, value in unit(path)}
    assert (values["Restart"], values["RestartSec"], values["RestartPreventExitStatus"]) == ("on-failure", "10", "2 78")
    assert (values["KillSignal"], values["KillMode"]) == ("SIGTERM", "mixed")


def test_both_units_are_locked_in_alike():
    """They differ in what they start, and in nothing that protects."""

    def protection(name):
        lines = unit(Path(UNITS / name))
        start = next(place for place, line in enumerate(lines) if line[1] == "NoNewPrivileges")
        return lines[start:]

    assert protection("celeriac-serve.service") == protection("celeriac-worker@.service")
