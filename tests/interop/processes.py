"""Servers and workers that the tests start on free ports of this machine, and end again."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute()


PORTS_GIVEN = set()


def free_port():
    """A port nobody listens on, and no server of an earlier test has: Celery's clients keep connections by address, for all apps of a process."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        if port not in PORTS_GIVEN:
            PORTS_GIVEN.add(port)
            return port


def wait_until(condition, seconds, what, poll=0.05):
    """Waits for a truthy answer of `condition`, which is returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = condition()
        if answer:
            return answer
        time.sleep(poll)
    raise AssertionError(f"waited {seconds} s in vain: {what}")


def all_settled(broker, *queues, prefix=""):
    """Whether nothing is queued, held or parked: in several looks, for Python's worker writes down that it has a message after it took it.

    Each look is one transaction, for a message may go from one place to another between two commands.
    """
    for _ in range(5):
        with broker.pipeline() as look:
            for queue in queues:
                look.llen(prefix + queue)
            if any(look.hlen(f"{prefix}unacked").zcard(f"{prefix}celeriac.parked_index").execute()):
                return False
        time.sleep(0.2)
    return True


def absent(what):
    """Skips a test where something is not here; in CI that is a failure."""
    import pytest

    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must have everything")
    pytest.skip(what)


class Process:
    """A child process with its output in a file; ended when the `with` block ends."""

    def __init__(self, name, command, folder, env=None, user=None):
        self.name = name
        self.log = Path(folder) / f"{name}.log"
        self._output = self.log.open("ab")
        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
        )

    def alive(self):
        return self._process.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def check(self):
        assert self.alive(), f"{self.name} ended with {self._process.returncode}:\n{self.output()[-4000:]}"
        return True

    def signal(self, number):
        """Sends a signal to the process itself."""
        self._process.send_signal(number)

    def kill_9(self):
        """Ends the process at once, as the kernel's out-of-memory killer would: its children are not asked."""
        self.signal(signal.SIGKILL)
        self._process.wait(20)

    @property
    def pid(self):
        return self._process.pid

    def stop(self, seconds=20):
        """Asks for a warm stop; returns the exit code."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
        return self.ended(seconds)

    def ended(self, seconds=20):
        """Waits for its end; returns the exit code."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._end_group()
            raise AssertionError(f"{self.name} did not stop within {seconds} s:\n{self.output()[-4000:]}") from None

    def kill_group(self):
        """Ends the process and its children at once, as when their container is killed."""
        self._end_group()

    def _end_group(self):
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end_group()
        self._output.close()


class RedisServer(Process):
    """A throw-away Redis, without persistence unless `flags` say otherwise. Messages lie in database 0, results in database 1."""

    def __init__(self, folder, port=None, flags=()):
        self.port = port or free_port()
        self.broker_url = f"redis://127.0.0.1:{self.port}/0"
        self.result_backend = f"redis://127.0.0.1:{self.port}/1"
        super().__init__(
            "redis",
            [shutil.which("redis-server"), "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *flags],
            folder,
        )

    def ready(self):
        import redis

        client = redis.Redis(port=self.port)

        def answers():
            self.check()
            try:
                return client.ping()
            except redis.ConnectionError:  # Not there yet, or still loading.
                return False

        wait_until(answers, 20, "redis-server answers", poll=0.005)
        return self


class PostgresServer(Process):
    """A throw-away Postgres, which survives nothing: nobody waits for its disk. It refuses to run as root, and so runs as nobody there."""

    def __init__(self, port=None):
        self.port = port or free_port()
        self.url = f"postgres://celeriac@127.0.0.1:{self.port}/postgres"
        self._folder = tempfile.TemporaryDirectory(prefix="celeriac-postgres-")
        folder, user = Path(self._folder.name), None
        if os.geteuid() == 0:
            user = "nobody"
            shutil.chown(folder, user)
        data = folder / "data"
        make = [self.program("initdb"), "-D", data, "-U", "celeriac", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run(make, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL)
        command = [self.program("postgres"), "-D", data, "-p", self.port, "-h", "127.0.0.1", "-k", folder, "-F"]
        super().__init__("postgres", command, folder, user=user)

    @staticmethod
    def program(name):
        """Where a program of Postgres is: Debian has most of them in a folder of their own. `None`: nowhere."""
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)]))

    def ready(self):
        ask = [self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: self.check() and subprocess.run(ask).returncode == 0, 30, "postgres answers")
        return self

    def __exit__(self, *_):
        super().__exit__()
        self._folder.cleanup()


class CeleriacWorker(Process):
    """`celeriac worker`, or a program built on the library that has the same command."""

    def __init__(self, program, name, queues, folder, env, concurrency=2, flags=()):
        command = [program, "worker", "-Q", ",".join(queues), "-c", concurrency, "-n", f"{name}@%h", "-l", "info", *flags]
        super().__init__(name, command, folder, env)


class PythonWorker(Process):
    """`celery worker` with an application of this folder."""

    def __init__(self, application, name, queues, folder, env, concurrency=2, flags=("--without-gossip", "--without-mingle")):
        command = [Path(sys.executable).with_name("celery"), "-A", application, "worker", "-Q", ",".join(queues), "-c", concurrency]
        command += ["-n", f"{name}@%h", "-l", "info", *flags]
        super().__init__(name, command, folder, {**env, "PYTHONPATH": str(Path(__file__).parent)})
