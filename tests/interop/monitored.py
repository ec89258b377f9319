"""One celeriac worker under real monitors: Celery's command line, Flower, celery-exporter, each a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from celery import Celery

from processes import CeleriacWorker, Process, RedisServer, free_port, wait_until

QUEUES = ["celery", "other"]
HERE = Path(__file__).parent


class Monitored:
    """A Redis, a celeriac worker on it, and whoever looks at it; all end with the `with` block."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self.redis = self._stack.enter_context(RedisServer(self.folder)).ready()
        self.environment = {
            "CELERY_BROKER_URL": self.redis.broker_url,
            "CELERY_RESULT_BACKEND": self.redis.result_backend,
            "NO_COLOR": "1",
        }
        self.client = Celery("client", broker=self.redis.broker_url, backend=self.redis.result_backend)
        self.client.conf.task_send_sent_event = True
        self.client.backend.result_consumer.cancel_for = lambda *_: None
        self.worker, self.node = self.start("watched")
        return self

    def __exit__(self, *_):
        self.client.close()
        self._stack.close()

    def start(self, name, queues=QUEUES, *flags):
        """Starts a worker; it and its node's name when it answers."""
        worker = CeleriacWorker(self.program, name, queues, self.folder, self.environment, flags=flags)
        self._stack.enter_context(worker)

        def answers():
            worker.check()
            nodes = [node for reply in self.client.control.ping(timeout=0.3) for node in reply]
            return next((node for node in nodes if node.startswith(f"{name}@")), None)

        return worker, wait_until(answers, 30, f"{name} answers a ping")

    def celery(self, *words, status=0):
        """What `celery -A proj …` prints, which ends with this exit status."""
        command = [sys.executable, "-m", "celery", "-A", "proj", *map(str, words)]
        environment = {**os.environ, **self.environment, "PYTHONPATH": str(HERE)}
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=self.folder)
        assert ended.returncode == status, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr if status else ended.stdout

    def inspect(self, *words):
        """The worker's own answer to `celery inspect …`."""
        return json.loads(self.celery("inspect", *words, "-d", self.node, "-t", 10, "--json"))[self.node]

    def control(self, *words):
        """The worker's own answer to `celery control …`."""
        [reply] = json.loads(self.celery("control", *words, "-d", self.node, "-t", 10, "--json"))
        return reply[self.node]

    def run(self, name, command, env=None):
        """Starts a monitor."""
        environment = {**self.environment, "PYTHONPATH": str(HERE), **(env or {})}
        return self._stack.enter_context(Process(name, command, self.folder, environment))


class Site:
    """The pages of a monitor that serves HTTP on a port of this machine."""

    def __init__(self, process, port):
        self.process, self.url = process, f"http://127.0.0.1:{port}"

    def ask(self, path, form=None, body=None, **query):
        """The status and text of a page; with a form or a JSON body it is posted."""
        data = urllib.parse.urlencode(form).encode() if form is not None else body and json.dumps(body).encode()
        query = f"?{urllib.parse.urlencode(query)}" if query else ""
        request = urllib.request.Request(f"{self.url}/{path}{query}", data=data)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def page(self, path, **query):
        status, text = self.ask(path, **query)
        assert status == 200, f"{path}: {status} {text[:2000]}\n{self.process.output()[-4000:]}"
        return text

    def json(self, path, **query):
        return json.loads(self.page(path, **query))

    def post(self, path, body=None, **form):
        """What a button's request answers."""
        status, text = self.ask(path, form=None if body is not None else form, body=body)
        assert status == 200, f"{path}: {status} {text[:2000]}\n{self.process.output()[-4000:]}"
        return json.loads(text)

    def up(self):
        def answers():
            self.process.check()
            try:
                return self.ask("")[0]
            except OSError:
                return False

        wait_until(answers, 60, f"{self.url} answers")
        return self


def flower(monitored):
    """Flower 2.2, with its HTTP API open."""
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "proj", "flower", f"--port={port}", "--address=127.0.0.1"]
    process = monitored.run("flower", command, {"FLOWER_UNAUTHENTICATED_API": "true"})
    return Site(process, port).up()


def exporter(monitored, folder):
    """celery-exporter, installed into this folder."""
    port = free_port()
    start = "import sys; from src.cli import cli; sys.exit(cli())"
    words = ["--broker-url", monitored.redis.broker_url, "--host", "127.0.0.1", "--port", port]
    process = monitored.run("exporter", [sys.executable, "-c", start, *words], {"PYTHONPATH": str(folder)})
    return Site(process, port).up()
