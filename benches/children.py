"""Programs under measurement: started in a group of their own, metered as a tree, and ended with it; a throw-away Redis among them."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import redis
from celery import Celery

import meter

# Seconds: nothing measured here takes longer.
PATIENCE = 900


def program(command, folder, env, pages):
    """Figures of a program that does `pages` pages and ends: from its start to its end, with all that it waited for."""
    began = time.monotonic()
    with Child(command, folder, env) as child:
        with meter.MemoryWatch(child.pid) as memory:
            code, cpu = child.wait()
    wall = time.monotonic() - began
    if code != 0:
        raise RuntimeError(f"{Path(command[0]).name} ended with {code}: {child.output()[-2000:]}")
    return figures(pages, wall, cpu, memory)


def figures(pages, wall, cpu, memory):
    return {
        "pages": pages,
        "wall_s": wall,
        "cpu_s": cpu,
        "pages_per_s": pages / wall,
        "pages_per_cpu_s": pages / cpu if cpu else None,
        "pss_mib": memory.peak_pss_mib,
        "rss_mib": memory.peak_process_rss_mib,
        "rss_growth": meter.growth(memory.over_time),
        "memory_over_time": memory.over_time,
    }


class Child:
    """A program in a group of its own, ended with it."""

    def __init__(self, command, folder, env):
        self.log = Path(folder) / "log"
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def wait(self):
        """(exit code, CPU seconds of it and of all that it waited for). What hangs is killed, and so has failed."""
        killer = threading.Timer(PATIENCE, os.killpg, (self.pid, signal.SIGKILL))
        killer.start()
        _, status, used = os.wait4(self.pid, 0)
        killer.cancel()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._process.returncode, used.ru_utime + used.ru_stime

    def measure(self, job):
        """Figures of a worker that is up, while `job` runs; its start is not counted. `job` returns the pages."""
        with meter.MemoryWatch(self.pid) as memory:
            began, cpu = time.monotonic(), meter.cpu(self.pid)
            try:
                pages = job()
            except Exception:
                sys.stderr.write(self.output()[-3000:])
                raise
            wall, cpu = time.monotonic() - began, meter.cpu(self.pid) - cpu
        return figures(pages, wall, cpu, memory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
        self._output.close()


class Redis(Child):
    """A throw-away Redis on a free port."""

    def __init__(self, folder):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        folder = Path(folder) / "redis"
        folder.mkdir()
        super().__init__(["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], folder, {})
        url = f"redis://127.0.0.1:{self.port}"
        self.env = {"CELERY_BROKER_URL": f"{url}/0", "CELERY_RESULT_BACKEND": f"{url}/1"}
        self._redis = redis.Redis(port=self.port)
        self._until(self._answers, "Redis does not answer")

    def _answers(self):
        try:
            return self._redis.ping()
        except redis.ConnectionError:
            return False

    def until_served(self, queue, workers):
        """Waits until so many workers answer, and one of them serves the queue."""
        control = self.client().control

        def served():
            answers = control.inspect(timeout=1.0, limit=workers).active_queues() or {}
            return len(answers) >= workers and any(queue in str(queues) for queues in answers.values())

        self._until(served, f"nobody serves {queue}")

    def _until(self, true, otherwise, patience=30):
        end = time.monotonic() + patience
        while not true():
            if time.monotonic() > end:
                raise TimeoutError(f"{otherwise} within {patience} s: {self.output()[-500:]}")
            time.sleep(0.02)

    def client(self):
        return Celery("bench", broker=self.env["CELERY_BROKER_URL"], backend=self.env["CELERY_RESULT_BACKEND"])

    def memory(self):
        return self._redis.info("memory")["used_memory"]

    def commands(self):
        """Commands so far, those of scripts among them."""
        return self._redis.info("stats")["total_commands_processed"]
