"""How fast a worker answers `ping` while every slot and every core is busy: celeriac's beside Celery's prefork.

    ping.py --worker target/release/examples/bench_worker [--pings 1000] [--slots N] [--task bench.burn] [--limit-ms 25]

One ping after the other, by hand over Redis, so that both are measured by the same client: PUBLISH to the fanout exchange, BRPOP from a
reply queue of its own. `bench.burn` fills no more slots than celeriac's runtime has threads, one a core. A worker is busy when `active` shows as many tasks as it has slots, before and after the pings. Ends with 1 where a
ping of celeriac's is not answered within a second or its 99th percentile is above the limit.
"""
import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import redis
from celery import Celery

HERE = Path(__file__).resolve().parent
SEP = "\x06\x16"
REPLIES = "reply.celery.pidbox"


class Client:
    """Sends commands to one node and waits for each reply."""

    def __init__(self, port, node):
        self.redis, self.node, self.oid = redis.Redis(port=port), node, str(uuid.uuid4())
        self.queue = f"{self.oid}.{REPLIES}"
        self.redis.sadd(f"_kombu.binding.{REPLIES}", f"{self.oid}{SEP}{SEP}{self.queue}")

    def ask(self, method, timeout=1):
        """The node's answer; None when none came in time."""
        ticket = str(uuid.uuid4())
        body = {
            "method": method,
            "arguments": {},
            "destination": [self.node],
            "pattern": None,
            "matcher": None,
            "ticket": ticket,
            "reply_to": {"exchange": REPLIES, "routing_key": self.oid},
        }
        message = {
            "body": base64.b64encode(json.dumps(body).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 1, "expires": time.time() + timeout},
            "properties": {
                "delivery_mode": 2,
                "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
        self.redis.publish("/0.celery.pidbox", json.dumps(message))
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            got = self.redis.brpop(self.queue, timeout=max(left, 0.01))
            if got is None:
                return None
            reply = json.loads(got[1])
            if reply["headers"].get("ticket") == ticket:
                return json.loads(base64.b64decode(reply["body"]))[self.node]
        return None


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"waited {seconds} s in vain: {what}")


def node_of(app):
    found = []

    def answers():
        found[:] = [node for reply in app.control.ping(timeout=0.5) for node in reply]
        return found

    until(answers, 60, "the worker answers")
    return found[0]


def measure(command, env, port, arguments):
    """The milliseconds of every ping that was answered, in the order they were sent."""
    app = Celery(broker=env["BENCH_BROKER"], backend=env["BENCH_BACKEND"])
    for _ in range(arguments.slots):
        app.send_task(arguments.task, (arguments.seconds * 1000,), queue="bench")
    with tempfile.TemporaryFile() as log:
        worker = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, cwd=HERE, start_new_session=True)
        try:
            client = Client(port, node_of(app))
            busy = lambda: len(client.ask("active", 5) or []) == arguments.slots  # noqa: E731
            until(busy, 20, "every slot is busy")
            times = []
            for _ in range(arguments.pings):
                begun = time.perf_counter()
                if client.ask("ping") == {"ok": "pong"}:
                    times.append((time.perf_counter() - begun) * 1000)
            if not busy():
                sys.exit("the slots were not busy to the end: use more --seconds")
            return times
        finally:
            os.killpg(worker.pid, 9)
            worker.wait()


def percentile(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(share * len(times)))] if times else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", required=True, type=Path)
    parser.add_argument("--pings", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=os.cpu_count())
    parser.add_argument("--task", default="bench.burn")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--limit-ms", type=float, default=25)
    arguments = parser.parse_args()
    celery = [sys.executable, "-m", "celery", "-A", "bench_app", "worker", "-Q", "bench", "-c", arguments.slots, "-P", "prefork"]
    workers = {
        "celery prefork": [*map(str, celery), "--without-gossip", "--without-mingle", "-l", "WARNING"],
        "celeriac": [str(arguments.worker.resolve()), "-Q", "bench", "-c", str(arguments.slots)],
    }
    print(f"{os.cpu_count()} cores, {arguments.slots} slots busy with {arguments.task}, {arguments.pings} pings one after the other")
    print(f"{'':16}{'answered':>10}{'median ms':>11}{'99 % ms':>10}{'max ms':>10}")
    for name, command in workers.items():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [shutil.which("redis-server"), "--port", str(port), "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        try:
            until(lambda: subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).returncode == 0, 10, "Redis answers")
            url = f"redis://127.0.0.1:{port}"
            env = {**os.environ, "BENCH_BROKER": f"{url}/0", "BENCH_BACKEND": f"{url}/1", "BENCH_PREFETCH": "1"}
            times = measure(command, env, port, arguments)
        finally:
            server.kill()
            server.wait()
        row = [percentile(times, 0.5), percentile(times, 0.99), max(times, default=float("nan"))]
        print(f"{name:16}{len(times):>10}" + "".join(f"{value:>{width}.2f}" for value, width in zip(row, (11, 10, 10))), flush=True)
    if len(times) < arguments.pings or percentile(times, 0.99) > arguments.limit_ms:
        sys.exit(f"celeriac's aim is {arguments.pings} of {arguments.pings} answered and 99 % within {arguments.limit_ms} ms")


if __name__ == "__main__":
    main()
