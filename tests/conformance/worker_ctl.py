#!/usr/bin/env python3
"""Starts, stops, restarts and probes the worker under test; a command for scripts/conformance, a module for the pytest plugin.

Both speak of the same process, by the environment and one JSON file:

    EXTWORKER_STATE   that file, written by `start`
    EXTWORKER_NODES   how many nodes the worker is [1]
    WORKER_CMD        the command that runs the worker in the foreground, for bash
    WORKER_LOG        takes the worker's output
    TEST_BROKER       the broker's URL

Only what was started here is ever signalled: the recorded process, and the process group that was made for it.
"""

import json
import os
import signal
import subprocess
import sys
import time


class NoAnswer(Exception):
    """The worker did not answer a ping in time."""


def _alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    """`pid` and the ids of every process below it."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found, todo = set(), [pid]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            todo.extend(children.get(current, ()))
    return found


class WorkerCtl:
    def __init__(self, state_path=None):
        self.state_path = state_path or os.environ["EXTWORKER_STATE"]
        self.nodes = int(os.environ.get("EXTWORKER_NODES", 1))
        self._process = None
        self._app = None

    def state(self):
        try:
            with open(self.state_path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def _save(self, **state):
        written = f"{self.state_path}.tmp"
        with open(written, "w") as file:
            json.dump(state, file)
        os.replace(written, self.state_path)

    @property
    def pid(self):
        return self.state().get("pid")

    def alive(self):
        if self._process is not None:
            self._process.poll()
        return bool(self.pid) and _alive(self.pid)

    @property
    def app(self):
        if self._app is None:
            from celery import Celery

            self._app = Celery("extworker.ctl", set_as_current=False, broker=os.environ["TEST_BROKER"])
        return self._app

    def ping(self, timeout=1.0):
        """The nodes that answer, by name."""
        return {name: answer for reply in self.app.control.ping(timeout=timeout) or () for name, answer in reply.items()}

    def wait_ready(self, timeout=60.0):
        """The names of all nodes, once that many answer."""
        end = time.monotonic() + timeout
        answers = {}
        while time.monotonic() < end:
            if not self.alive():
                raise NoAnswer("the worker's process ended before it answered a ping")
            try:
                answers = self.ping(timeout=0.5)
            except OSError:
                answers = {}
            if len(answers) > self.nodes:
                raise NoAnswer(f"more nodes answer than the {self.nodes} that were started: {sorted(answers)}")
            if len(answers) == self.nodes:
                return sorted(answers)
        raise NoAnswer(f"{len(answers)} of {self.nodes} nodes answered a ping within {timeout:.0f} s")

    def start(self):
        with open(os.environ.get("WORKER_LOG", os.devnull), "ab") as log:
            log.write(f'--- start {time.strftime("%H:%M:%S")}: {os.environ["WORKER_CMD"]}\n'.encode())
            log.flush()
            self._process = subprocess.Popen(
                ["bash", "-c", "exec " + os.environ["WORKER_CMD"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._save(pid=self._process.pid)
        return self._process.pid

    def stop(self, grace=8.0):
        """TERM, and after `grace` seconds KILL to the group that was made; how it went."""
        pid = self.pid
        if not pid:
            return "not running"
        how = "gone"
        if _alive(pid):
            how = "term"
            os.kill(pid, signal.SIGTERM)
            end = time.monotonic() + grace
            while time.monotonic() < end and self.alive():
                time.sleep(0.05)
            how = "kill" if self.alive() else how
        try:
            os.killpg(pid, signal.SIGKILL)  # stragglers of our own group
        except (ProcessLookupError, PermissionError):
            pass
        if self._process is not None:
            self._process.wait(timeout=5)
        self._save(pid=None)
        return how

    def restart(self, between=None, grace=8.0):
        self.stop(grace=grace)
        if between is not None:
            between()
        self.start()
        return self.wait_ready()


def main(words):
    ctl = WorkerCtl()
    command = words[0] if words else ""
    if command == "start":
        print("worker started: process", ctl.start())
        try:
            print("worker answers:", ", ".join(ctl.wait_ready()))
        except NoAnswer as exc:
            print("worker is not ready:", exc)
            return 3
    elif command == "stop":
        print("worker stopped:", ctl.stop())
    else:
        print("usage: worker_ctl.py start|stop")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
