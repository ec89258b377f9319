"""What the deployment files start: every queue has a worker, and every command line is one that the program understands."""

import subprocess

import pytest

from files import PLATFORMS, QUEUES, everything

# `celeriac serve` and `celeriac healthcheck` as they are specified: each flag, and whether a value follows it.
FLAGS = {
    "serve": {"--host": True, "--port": True, "--with-worker": False, "--read-only": False, "--no-ui": False, "--insecure": False},
    "healthcheck": {"--worker": True, "--api": True},
}
COMMANDS = everything()


def named(name):
    return [pytest.param(command, id=command.where) for command in COMMANDS if command.name == name]


@pytest.mark.parametrize("platform", [name for name in PLATFORMS])
def test_every_queue_has_a_worker(platform):
    workers = [command for command in PLATFORMS[platform]() if command.name == "worker"]
    served = {queue for worker in workers for queue in worker.queues if worker.count > 0}
    assert served == set(QUEUES)


@pytest.mark.parametrize("platform", ["render", "compose", "kubernetes", "systemd"])
def test_each_whole_deployment_has_the_service_once(platform):
    assert [command.name for command in PLATFORMS[platform]()].count("serve") == 1


def test_render_has_as_many_workers_as_the_source_says():
    counts = {command.words[command.words.index("-Q") + 1]: command.count for command in PLATFORMS["render"]() if command.name == "worker"}
    assert counts == {
        ",".join(QUEUES): 1,
        "page_processing": 6,
        "document_orchestration,batch_processing": 2,
        "audio_generation": 2,
    }


@pytest.mark.parametrize("command", named("worker"))
def test_a_worker_has_a_name_of_its_own(command):
    """Two workers of one name answer for each other: the name has the host, the pod or the queue in it."""
    name = command.flag("-n")
    assert name is None or name.partition("@")[2] in ("%h", "$(POD_NAME)"), command.words


def test_what_asks_for_a_worker_names_it_as_it_is_started():
    for platform in ("compose", "kubernetes"):
        found = PLATFORMS[platform]()
        started = {command.flag("-n").partition("@")[0] for command in found if command.name == "worker"}
        asked = {command.flag("--worker").partition("@")[0] for command in found if command.flag("--worker")}
        assert started == asked and len(started) == 5


@pytest.mark.parametrize("command", named("serve") + named("healthcheck"))
def test_flags_are_those_that_are_specified(command):
    flags, words = FLAGS[command.name], iter(command.words[command.words.index(command.name) + 1:])
    for word in words:
        assert word in flags, command.words
        if flags[word]:
            assert not next(words, "--").startswith("--"), command.words


@pytest.mark.parametrize("command", named("worker"))
def test_the_program_understands_the_command_line_of_a_worker(celeriac, command, tmp_path):
    """A word that it does not know ends it with 2; a value that is wrong, which it sees only afterwards, with 78."""
    words = [word for before, word in zip([""] + command.words, command.words) if "--config" not in (before, word)]
    ran = subprocess.run([celeriac, *words, "worker_concurrency=wrong"], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert (ran.returncode, "worker_concurrency" in ran.stderr) == (78, True), ran.stderr


@pytest.mark.parametrize("name", FLAGS)
def test_the_program_has_the_flags(celeriac, name):
    asked = subprocess.run([celeriac, name, "--help"], env={}, capture_output=True, text=True)
    if asked.returncode != 0:
        pytest.skip(f"this build has no `{name}`")
    used = {word for command in COMMANDS if command.name == name for word in command.words if word.startswith("--")} - {"--config"}
    assert {flag for flag in used if flag not in asked.stdout} == set()


def test_a_wrong_command_line_would_be_seen(celeriac, tmp_path):
    ran = subprocess.run([celeriac, "worker", "--queue", "a", "worker_concurrency=wrong"], cwd=tmp_path, env={}, capture_output=True)
    assert ran.returncode == 2
