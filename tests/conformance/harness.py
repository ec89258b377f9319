"""The external worker as the suite's tests see it: what they reach into on a worker in their own process is answered from outside.

What is replaced, and with what:

* `celery_session_worker`: a stand-in that registers the suite's tasks on the client's side.
* `ManagerMixin.wait_until_idle`: the same purge and wait, bounded in time, looking at reserved tasks as well as active ones.
* the `task_received` signal: every task message that anybody pushes on the queue is seen through MONITOR, decoded with Celery's own
  `Request` and sent to the signal's receivers. So tests of headers and stamps judge what the worker really published.
* `worker_state.successful_requests`: filled from `task-succeeded` events.
* `worker_state.revoked`: read by `inspect revoked`.
* `worker_state.revoked_stamps.clear()`: a restart of the worker without what it keeps in Redis, since there is no remote command for it.
* `NODENAME` and `os.getpid()` of test_inspect: the node's name, and its process id if it is a process below WORKER_CMD.
* `Control.broadcast`, where the worker is several nodes: their replies as one (`fleet.answer_as_one`).
"""

import functools
import json
import os
import sys
import threading
import time
from base64 import b64decode
from collections import Counter, defaultdict, deque
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from fleet import answer_as_one
from watch import BrokerWatch, message_from_envelope, request_from_message
from worker_ctl import WorkerCtl, descendants


class Harness:
    def __init__(self):
        from redis import Redis

        self.host = os.environ.get("REDIS_HOST", "127.0.0.1")
        self.port = int(os.environ.get("REDIS_PORT", 6379))
        self.redis = Redis(host=self.host, port=self.port)
        self.ctl = WorkerCtl()
        self.nodes = []
        self.app = None  # the session's app, once known
        self.succeeded = set()
        self.current = None  # id of the running test
        self.tasks = defaultdict(Counter)
        self.controls = defaultdict(Counter)
        self.events = defaultdict(Counter)
        self.restarts = Counter()
        self.muted = False  # our own control commands
        self.decode_errors = []
        self.watch = BrokerWatch(self.host, self.port, self.on_task, self.on_event, self.on_control)
        self._unsent = deque()  # (time seen, test, task name, envelope)
        self._unsent_lock = threading.RLock()

    @property
    def nodename(self):
        return self.nodes[0] if self.nodes else None

    # -- start and stop

    def open(self):
        self.watch.connect()
        self.watch.start()
        threading.Thread(target=self._signal_loop, name="extworker-signals", daemon=True).start()
        self.discover()

    def close(self):
        self.watch.close()

    def discover(self, timeout=30.0):
        self.nodes = self.ctl.wait_ready(timeout)
        self.ctl.app.control.enable_events()  # for task-succeeded
        self.patch_modules()

    def restart(self, why, flush=False):
        """Stops the worker, empties Redis if asked, and starts it again."""
        self.restarts[why] += 1
        self.nodes = []
        with self.mute():
            self.ctl.restart(between=self.redis.flushall if flush else None)
            self.discover()

    @contextmanager
    def mute(self):
        self.watch.catch_up(self.redis)
        self.muted = True
        try:
            yield
        finally:
            self.watch.catch_up(self.redis)
            self.muted = False

    # -- what the watch sees

    def on_task(self, envelope):
        from celery.signals import task_received

        name = (envelope.get("headers") or {}).get("task")
        if name is None:
            name = json.loads(b64decode(envelope["body"])).get("task")
        self.tasks[self.current][name] += 1
        if self.app is not None and task_received.receivers:
            self._unsent.append((time.monotonic(), self.current, name, envelope))

    def send_task_received(self, min_age=0.0):
        """Sends `task_received` for the messages seen, in their order.

        A message is seen the moment it is pushed, which is earlier than a worker could have it, so the background thread lets it age.
        """
        from celery.signals import task_received

        with self._unsent_lock:
            while self._unsent and time.monotonic() - self._unsent[0][0] >= min_age:
                _, test, name, envelope = self._unsent.popleft()
                if test != self.current:
                    continue
                try:
                    request = request_from_message(self.app, message_from_envelope(envelope))
                except Exception as exc:
                    self.decode_errors.append(f"{test}: {name}: {type(exc).__name__}: {exc}")
                    continue
                task_received.send(sender=self, request=request)

    def _signal_loop(self):
        while self.watch.is_alive():
            time.sleep(0.05)
            self.send_task_received(min_age=0.15)

    def on_event(self, event):
        self.events[self.current][event.get("type")] += 1
        if event.get("type") == "task-succeeded":
            self.succeeded.add(event.get("uuid"))

    def on_control(self, body):
        if not self.muted:
            self.controls[self.current][body.get("method")] += 1

    # -- what the tests reach into

    def worker_state(self):
        harness = self

        class Revoked:
            @staticmethod
            def as_dict():
                reply = harness.app.control.inspect().revoked() or {}
                return {task_id: 0.0 for ids in reply.values() for task_id in ids}

            @staticmethod
            def discard(task_id):
                pass

        class RevokedStamps:
            @staticmethod
            def clear():
                # Nothing may be left behind that a fresh worker would run.
                harness.wait_until_idle(harness.app)
                # And not even a restart forgets what is kept on the broker.
                harness.redis.delete("celeriac.revoked_stamps")
                harness.restart("revoked_stamps.clear")

        return SimpleNamespace(successful_requests=self.succeeded, revoked=Revoked(), revoked_stamps=RevokedStamps())

    def worker_pid(self):
        """The process id the worker reports, if it is a process we started."""
        reply = self.app.control.inspect().stats() or {}
        pid = (reply.get(self.nodename) or {}).get("pid")
        return pid if pid in descendants(self.ctl.pid) else -1

    def patch_modules(self):
        inspect_tests = sys.modules.get("t.integration.test_inspect")
        if inspect_tests is not None:
            inspect_tests.NODENAME = self.nodename
            inspect_tests.os = SimpleNamespace(getpid=self.worker_pid)
            inspect_tests.worker_state = self.worker_state()
        task_tests = sys.modules.get("t.integration.test_tasks")
        if task_tests is not None:
            task_tests.worker_state = self.worker_state()

    def wait_until_idle(self, app, limit=25.0):
        """Empties the queue, then waits until the worker holds no task."""
        with self.mute():
            end = time.monotonic() + limit
            inspect = app.control.inspect(destination=list(self.nodes), limit=len(self.nodes), timeout=2.0)
            quiet = 0
            while time.monotonic() < end:
                app.control.purge()
                replies = inspect.active(), inspect.reserved()
                idle = all(reply is not None and not any(reply.values()) for reply in replies)
                quiet = quiet + 1 if idle else 0
                if quiet == 2:
                    return
                time.sleep(0.05)
            raise RuntimeError(f"the worker was not idle after {limit:.0f} s")

    def patch_celery(self):
        from celery.app.control import Control
        from celery.contrib.testing.manager import ManagerMixin
        from celery.result import AsyncResult, ResultSet

        ManagerMixin.wait_until_idle = lambda manager: self.wait_until_idle(manager.app)
        # A test that listens to task_received looks right after get().
        for cls, names in ((AsyncResult, ("get",)), (ResultSet, ("get", "join", "join_native"))):
            for name in names:
                setattr(cls, name, self._after(cls.__dict__[name]))
        AsyncResult.wait = AsyncResult.get
        if self.ctl.nodes > 1:
            Control.broadcast = self._as_one(Control.broadcast)

    def _after(self, method):
        from celery.signals import task_received

        @functools.wraps(method)
        def wrapper(*args, **kwargs):
            try:
                return method(*args, **kwargs)
            finally:
                if task_received.receivers:
                    self.watch.catch_up(self.redis)
                    self.send_task_received()

        return wrapper

    def _as_one(self, broadcast):
        """While the nodes are not all known (a start, a restart) replies stay as they are."""

        @functools.wraps(broadcast)
        def wrapper(control, command, arguments=None, destination=None, **kwargs):
            if not (kwargs.get("reply") and self.nodes):
                return broadcast(control, command, arguments, destination, **kwargs)
            kwargs["limit"] = len(self.nodes)
            replies = broadcast(control, command, arguments, list(self.nodes) if destination else None, **kwargs)
            return answer_as_one(replies, self.nodes)

        return wrapper


def external_session_worker(harness):
    @pytest.fixture(scope="session")
    def celery_session_worker(celery_session_app, celery_includes, celery_class_tasks):
        """Stand-in for the worker in the tests' own process: ours runs elsewhere."""
        for module in celery_includes:
            celery_session_app.loader.import_task_module(module)
        for task in celery_class_tasks:
            celery_session_app.register_task(task)
        harness.app = celery_session_app
        yield SimpleNamespace(app=celery_session_app, hostname=harness.nodename, external=True)

    return celery_session_worker
