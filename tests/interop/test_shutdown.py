"""Stopping a worker, each way: the same tests run against Python's worker wherever it can do the same, which shows that they are fair."""

import contextlib
import json
import signal
import time
from pathlib import Path

import pytest
import redis as redis_client
from celery import chain
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded, WorkerLostError

from processes import CeleriacWorker, PythonWorker, wait_until

LEASE = 2
TIMEOUT = 30
# The same signal within 0.2 s counts once.
AGAIN = 0.3
# Within which a worker leaves, whatever holds it up; its last quarter, or 5 s, is for cutting off.
GRACE = 20

both = pytest.mark.parametrize("side", ["celeriac", "python"])


@pytest.fixture
def start(environment, interop_worker_program, tmp_path):
    """start(side, name, …) starts a worker of that side which is ended after the test, and waits until it serves."""
    with contextlib.ExitStack() as stack:

        def worker(side, name="worker", concurrency=1, flags=(), **env):
            env = {**environment, "CELERIAC_LEASE": str(LEASE), "CELERY_TASK_TRACK_STARTED": "true", **env}
            if side == "python":
                started = PythonWorker("proj", name, ["celery"], tmp_path, env, concurrency, flags)
            else:
                started = CeleriacWorker(interop_worker_program, name, ["celery"], tmp_path, env, concurrency, flags)
            stack.enter_context(started)
            return ready(started)

        yield worker


def ready(worker, times=1):
    wait_until(lambda: worker.check() and worker.output().count(" ready.") >= times, 60, f"{worker.name} is ready")
    return worker


@pytest.fixture
def call(client):
    """call(name, *args, **options) is a signature of one of the tasks that both sides have."""
    return lambda name, *args, **options: client.signature(f"proj.{name}", args=args, **options)


@pytest.fixture
def broker(redis):
    with redis_client.Redis.from_url(redis.broker_url) as connection:
        yield connection


def active(client, result):
    """Waits until the worker itself knows that it runs, which Python's learns from its child."""

    def shown():
        # One worker runs: nothing is waited for once it has answered.
        found = client.control.inspect(timeout=1, limit=1).active() or {}
        return any(task["id"] == result.id and task["time_start"] for tasks in found.values() for task in tasks)

    wait_until(shown, TIMEOUT, f"{result.id} is active")


def queued(broker):
    """The ids that wait, the next to be taken first."""
    return [json.loads(message)["headers"]["id"] for message in reversed(broker.lrange("celery", 0, -1))]


def running(result):
    """Waits until a worker runs the task, and knows it: Python's child tells of it before its worker has heard."""
    wait_until(lambda: result.state == "STARTED", TIMEOUT, f"{result.id} runs", poll=0.01)
    active(result.app, result)


def logged(worker, text, poll=0.05):
    wait_until(lambda: text in worker.output(), TIMEOUT, f"{worker.name} logs {text!r}, in\n{worker.output()[-2000:]}", poll=poll)


def gone(pid):
    """Whether a process has ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def runs(worker, result):
    return worker.output().count(f"[{result.id}] received")


def goes_back(worker, broker, result, status=(0,)):
    """After a cold stop: the task is the next to be taken, and nothing is left of it."""
    assert worker.ended() in status, worker.output()
    assert (queued(broker), broker.hlen("unacked")) == ([result.id], 0)
    assert f"[{result.id}] succeeded" not in worker.output()


@both
def test_a_warm_stop_finishes_what_runs_and_hands_the_rest_back(start, call, broker, side):
    worker = start(side)
    slow = call("part", 1, 6).delay()
    running(slow)
    rest = [call("part", x).delay() for x in (2, 3)]
    worker.signal(signal.SIGTERM)

    assert worker.ended() == 0
    assert slow.get(timeout=1) == 1
    assert (queued(broker), broker.hlen("unacked")) == ([result.id for result in rest], 0)


def test_an_idle_worker_stops_at_once(start, call):
    def seconds(attempt):
        worker = start("celeriac", f"worker{attempt}")
        assert call("child_sleeps", 0).delay().get(timeout=TIMEOUT), "it has a child"
        begun = time.monotonic()
        assert worker.stop() == 0
        return time.monotonic() - begun

    # 20 ms on a quiet machine, which scripts/term-drill measures; a busy machine may hold one up.
    assert any(seconds(attempt) < 1 for attempt in range(3))


@both
@pytest.mark.parametrize("signals", [["SIGQUIT"], ["SIGINT", "SIGINT"], ["SIGTERM", "SIGQUIT"]], ids="-".join)
def test_a_cold_stop_hands_back_what_is_acked_late(start, call, broker, side, signals):
    worker = start(side)
    slow = call("part", 1, 60).delay()
    running(slow)
    for name in signals[:-1]:
        worker.signal(getattr(signal, name))
        logged(worker, "arm shutdown")
        time.sleep(AGAIN)
    worker.signal(getattr(signal, signals[-1]))

    # Python's says 1 after SIGINT where its event loop has turned before the second one (`on_SIGINT` of celery/apps/worker.py).
    goes_back(worker, broker, slow, status=(0, 1) if side == "python" and "SIGINT" in signals else (0,))


@both
@pytest.mark.parametrize("name", ["SIGQUIT", "SIGKILL"])
def test_a_worker_that_has_gone_leaves_no_child_behind(start, call, side, name):
    worker = start(side)
    pid = call("child_sleeps", 0).delay().get(timeout=TIMEOUT)
    running(call("child_sleeps", 60).delay())
    worker.signal(getattr(signal, name))

    worker.ended()
    wait_until(lambda: gone(pid), TIMEOUT, "its child ends")


@both
def test_sigterm_can_be_remapped_to_a_cold_stop(start, call, broker, side):
    worker = start(side, REMAP_SIGTERM="SIGQUIT")
    slow = call("part", 1, 60).delay()
    running(slow)
    worker.signal(signal.SIGTERM)

    goes_back(worker, broker, slow)


# Where the machine stands still for 0.2 s between the two, they are no longer the same signal.
@pytest.mark.flaky(reruns=2)
def test_a_second_sigterm_is_a_cold_stop_and_the_same_one_twice_is_not(start, call, broker):
    worker = start("celeriac")
    slow = call("part", 1, 60).delay()
    running(slow)
    worker.signal(signal.SIGTERM)
    logged(worker, "warm shutdown; again for a cold one", poll=0.001)
    worker.signal(signal.SIGTERM)
    # A process manager's and a shell's, within milliseconds: they count once.
    logged(worker, "SIGTERM: the same once more")
    assert worker.alive()

    time.sleep(AGAIN)
    worker.signal(signal.SIGTERM)
    goes_back(worker, broker, slow)


@both
def test_a_cold_stop_says_of_an_early_ack_that_the_task_was_cut_off(start, call, broker, side):
    worker = start(side)
    early = call("early", 1, 60).delay()
    running(early)
    worker.signal(signal.SIGQUIT)

    assert worker.ended() == 0
    assert (early.state, queued(broker), broker.hlen("unacked")) == ("RETRY", [], 0)


@both
def test_a_soft_stop_lets_what_runs_finish(start, call, side):
    worker = start(side, CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT="10")
    short = call("part", 1, 5).delay()
    running(short)
    worker.signal(signal.SIGQUIT)
    logged(worker, "Initiating Soft Shutdown, terminating in 10")

    assert short.get(timeout=TIMEOUT) == 1
    assert worker.ended() == 0


@both
def test_a_soft_stop_cuts_off_what_takes_longer(start, call, broker, side):
    worker = start(side, CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT="1")
    slow = call("part", 1, 60).delay()
    running(slow)
    begun = time.monotonic()
    worker.signal(signal.SIGQUIT)

    goes_back(worker, broker, slow)
    assert time.monotonic() - begun >= 1


def test_one_more_signal_cuts_a_soft_stop_short(start, call, broker):
    worker = start("celeriac", CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT="60")
    slow = call("part", 1, 60).delay()
    running(slow)
    worker.signal(signal.SIGQUIT)
    logged(worker, "Initiating Soft Shutdown, terminating in 60 seconds")
    time.sleep(AGAIN)
    worker.signal(signal.SIGQUIT)

    goes_back(worker, broker, slow)


def test_a_warm_stop_turns_cold_before_the_grace_is_over(start, call, broker):
    worker = start("celeriac", concurrency=3, CELERIAC_SHUTDOWN_GRACE=str(GRACE))
    slow = [call("part", x, 60).delay() for x in (1, 2, 3)]
    for result in slow:
        running(result)
    waiting = call("part", 4).delay()
    begun = time.monotonic()

    assert worker.stop(2 * GRACE) == 0
    assert GRACE - 5.1 < time.monotonic() - begun < GRACE
    assert (queued(broker), broker.hlen("unacked")) == ([result.id for result in [*slow, waiting]], 0)
    assert "stopped, with tasks cut off" in worker.output()


def test_a_worker_whose_every_thread_is_busy_leaves_within_its_grace(start, call, broker):
    worker = start("celeriac", concurrency=64, CELERIAC_SHUTDOWN_GRACE=str(GRACE))
    # More than there are threads.
    busy = [call("busy", 60).delay() for _ in range(64)]
    wait_until(lambda: worker.output().count(" received") >= 2, TIMEOUT, "some run")
    begun = time.monotonic()

    assert worker.stop(2 * GRACE) in (0, 1)
    assert time.monotonic() - begun < GRACE
    assert broker.hlen("unacked") + len(queued(broker)) == len(busy)


def test_a_task_of_a_killed_worker_runs_on_another(start, call, broker):
    worker = start("celeriac", "first")
    slow = call("part", 1, 6).delay()
    running(slow)
    worker.kill_9()
    assert broker.hlen("unacked") == 1

    second = start("celeriac", "second")
    assert slow.get(timeout=LEASE + TIMEOUT) == 1
    assert runs(second, slow) == 1


def test_a_worker_leaves_within_its_grace_while_redis_is_away(start, call, redis):
    worker = start("celeriac", "first", CELERIAC_SHUTDOWN_GRACE=str(GRACE))
    slow = call("part", 1, 6).delay()
    running(slow)
    redis.signal(signal.SIGSTOP)
    begun = time.monotonic()
    assert worker.stop(2 * GRACE) == 1, "it could not hand back"
    assert time.monotonic() - begun < GRACE
    redis.signal(signal.SIGCONT)

    start("celeriac", "second")
    assert slow.get(timeout=LEASE + TIMEOUT) == 1


@both
def test_a_chain_goes_on_after_a_restart_in_its_middle(start, call, side):
    first, second = call("part", 1, 0.5), call("part", 2, 0.5, immutable=True)
    worker = start(side, "before")
    result = chain(first, second)()
    result.parent.get(timeout=TIMEOUT)
    assert worker.stop() == 0

    start(side, "after")
    assert result.get(timeout=TIMEOUT) == 2


@pytest.mark.parametrize("side, name", [("celeriac", "SIGTERM"), ("celeriac", "SIGKILL"), ("python", "SIGKILL")])
def test_a_terminated_task_is_revoked_and_its_process_is_gone(start, call, client, broker, side, name):
    start(side)
    pid = call("child_sleeps", 0).delay().get(timeout=TIMEOUT)
    hanging = call("child_sleeps", 60).delay()
    active(client, hanging)
    client.control.revoke(hanging.id, terminate=True, signal=name)

    with pytest.raises(TaskRevokedError):
        hanging.get(timeout=TIMEOUT)
    wait_until(lambda: gone(pid), TIMEOUT, "its process ends")
    assert call("child_sleeps", 0).delay().get(timeout=TIMEOUT) != pid, "the slot is free again"
    wait_until(lambda: broker.hlen("unacked") == 0, TIMEOUT, "it is acked")


def test_sigusr1_raises_the_soft_time_limit(start, call, client):
    # Not for Python: a child of its pool now and then misses every such signal.
    start("celeriac")
    hanging = call("child_sleeps", 60).delay()
    active(client, hanging)
    client.control.revoke(hanging.id, terminate=True, signal="SIGUSR1")

    def outcome():
        return hanging.state == "FAILURE" and hanging.result

    assert isinstance(wait_until(outcome, TIMEOUT, "it fails"), SoftTimeLimitExceeded)


@both
def test_a_child_that_dies_is_replaced(start, call, side):
    start(side)
    before = call("child_sleeps", 0).delay().get(timeout=TIMEOUT)
    deaths = [
        (call("child_exits", 3), WorkerLostError, "exitcode 3"),
        (call("child_dies"), WorkerLostError, "signal 6 (SIGABRT)"),
        (call("child_sleeps", 60).set(time_limit=1), TimeLimitExceeded, "1"),
    ]
    # Python's worker takes five seconds for each, and so shows one.
    for death, error, says in deaths[: 1 if side == "python" else None]:
        with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
            death.delay().get(timeout=TIMEOUT)
        after = call("child_sleeps", 0).delay().get(timeout=TIMEOUT)
        assert after != before
        before = after


@both
def test_a_soft_time_limit_ends_a_task_in_a_child(start, call, side):
    start(side)
    with pytest.raises(SoftTimeLimitExceeded):
        call("child_sleeps", 60).set(soft_time_limit=3).delay().get(timeout=TIMEOUT)
    assert call("child_sleeps", 0).delay().get(timeout=TIMEOUT)


@both
def test_a_child_past_its_limits_is_replaced(start, call, side):
    start(side, flags=["--max-tasks-per-child", "2", "--max-memory-per-child", "200000"])
    pids = [call(*what).delay().get(timeout=TIMEOUT) for what in [("child_sleeps", 0), ("child_sleeps", 0), ("child_grows", 300)]]
    assert pids[0] == pids[1] != pids[2]
    assert call("child_sleeps", 0).delay().get(timeout=TIMEOUT) not in pids


@both
def test_sighup_finishes_what_runs_and_begins_anew(start, call, side):
    worker = start(side)
    slow = call("part", 1, 5).delay()
    running(slow)
    worker.signal(signal.SIGHUP)

    ready(worker, times=2)
    assert (slow.get(timeout=1), runs(worker, slow)) == (1, 1)
    assert call("add", 2, 2).delay().get(timeout=TIMEOUT) == 4
    assert worker.stop() == 0


def test_sighup_reads_the_configuration_anew_and_goes_on_with_the_old_if_it_is_wrong(start, call, client, tmp_path):
    worker = start("celeriac")
    file = tmp_path / "celery_config.toml"
    file.write_text("worker_prefetch_multiplier = 'many'\n")
    worker.signal(signal.SIGHUP)
    logged(worker, "the configuration is wrong, going on with the one before")
    assert call("add", 2, 2).delay().get(timeout=TIMEOUT) == 4

    file.write_text("result_extended = true\n")
    worker.signal(signal.SIGHUP)
    ready(worker, times=2)
    call("add", 1, 2).delay().get(timeout=TIMEOUT)
    (conf,) = client.control.inspect(timeout=10, limit=1).conf().values()
    assert conf["result_extended"] is True


def test_a_quiet_worker_finishes_what_it_has_and_still_answers(start, call, client, broker):
    worker = start("celeriac", "quiet")
    slow = call("part", 1, 5).delay()
    running(slow)
    worker.signal(signal.SIGTSTP)
    logged(worker, "SIGTSTP: quiet")
    next_one = call("part", 2).delay()

    assert slow.get(timeout=TIMEOUT) == 1
    assert client.control.inspect(timeout=20, limit=1).ping()
    assert queued(broker) == [next_one.id]
    start("celeriac", "other")
    assert next_one.get(timeout=TIMEOUT) == 2
    assert runs(worker, next_one) == 0
    assert worker.stop() == 0


def test_sigusr1_writes_the_state_down_and_sigusr2_changes_nothing(start, call):
    worker = start("celeriac", concurrency=2)
    assert call("child_sleeps", 0).delay().get(timeout=TIMEOUT), "there is a child"
    slow, child = call("part", 1, 60).delay(), call("child_sleeps", 60).delay()
    running(slow), running(child)
    worker.signal(signal.SIGUSR2)
    logged(worker, "SIGUSR2: ignored")
    worker.signal(signal.SIGUSR1)

    logged(worker, f"state: running proj.part[{slow.id}]")
    logged(worker, f"state: running proj.child_sleeps[{child.id}]")
    logged(worker, "state: child")
    lines = [line for line in worker.output().splitlines() if "state: worker@" in line]
    assert len(lines) == 1 and "running=2" in lines[0] and "leases=2" in lines[0], lines


@pytest.mark.parametrize("cancels", [True, False])
def test_a_run_that_may_lose_its_lease_is_cut_off_if_the_settings_say_so(start, call, redis, cancels):
    setting = {"CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS": str(cancels).lower()}
    worker = start("celeriac", **setting)
    slow = call("part", 1, 8).delay()
    running(slow)
    redis.signal(signal.SIGSTOP)
    if cancels:
        logged(worker, "its lease cannot be renewed")
    else:
        time.sleep(LEASE)
    redis.signal(signal.SIGCONT)

    assert slow.get(timeout=TIMEOUT) == 1
    assert runs(worker, slow) == (2 if cancels else 1)
