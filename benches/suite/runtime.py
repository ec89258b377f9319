"""The part `runtime`: workers beside each other over one Redis (benches/celery)."""

import benchlib
from bench import Bench, load_workers

PREFORK, THREADS, OURS = "celery-prefork", "celery-threads", "celeriac"
# With as many slots as BullMQ's worker runs at once.
FIFTY = "celeriac-50"
LIMITS = ["limit-step", "limit-pipe", "limit-batch", "limit-lua"]
QUEUES = ["bullmq", "dramatiq"]
PIECES = {
    "noop": [PREFORK, THREADS, OURS, FIFTY, *QUEUES, *LIMITS],
    "result": [PREFORK, THREADS, OURS, FIFTY, *QUEUES, "limit-lua"],
    "latency": [PREFORK, THREADS, OURS],
    "latency_fixed": [PREFORK, THREADS, OURS],
    "chord": [PREFORK, OURS],
    "eta": [PREFORK, OURS],
    "startup": [PREFORK, OURS],
    "io": [PREFORK, THREADS, OURS],
    "payload": [PREFORK, OURS],
}


class Runtime:
    """Measures a scenario with a worker."""

    pieces = PIECES

    def __init__(self, setup):
        self.workers = load_workers()
        self.workers[OURS] |= {"cmd": setup.worker_command}
        self.workers[FIFTY] = self.workers[OURS] | {"conc": 50}
        self.redis = benchlib.Redis(setup.port).start()
        self.bench = Bench(self.redis, n=2000 if setup.quick else 20_000, quick=setup.quick, verbose=False)

    def run(self, piece, way):
        return self.bench.run(piece, way, self.workers[way])

    def close(self):
        self.redis.stop()


def line(figures):
    """A run in a few words."""
    keys = ("rate", "p50", "p99", "drain_s", "served_s", "startup_s", "mb_s", "share_of_ideal", "worker_cpu_s_per_1000", "pss_mib")
    return ", ".join(f"{key} {figures[key]}" for key in keys if figures.get(key) is not None)
