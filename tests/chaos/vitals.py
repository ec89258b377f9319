"""What a worker and its Redis are made of while they work: memory, files, clients, keys that never expire."""

import os
from pathlib import Path

from stage import rss_mb

# One line a worker that is ready; nothing for each task.
QUIET = {"RUST_LOG": "error,celeriac::worker=info,celeriac::worker::request=off"}


def of_each(worker, figure):
    """A figure of a worker's process, and of each that descends from it and has not just ended."""
    found, rest = [], [worker.pid]
    while rest:
        pid = rest.pop()
        try:
            found.append(figure(pid))
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                rest += [int(child) for child in children.read_text().split()]
        except OSError:
            assert pid != worker.pid, "the worker has ended"
    return found


def memory_mb(worker):
    """Resident memory of a worker, of its largest process: where it keeps what it holds."""
    return max(of_each(worker, rss_mb))


def files(worker):
    return sum(of_each(worker, lambda pid: len(list(Path(f"/proc/{pid}/fd").iterdir()))))


def cpu_s(worker):
    """How long a process and its children have computed, in seconds."""

    def computed(pid):
        user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    return sum(of_each(worker, computed))


def reset_peak(worker):
    of_each(worker, lambda pid: Path(f"/proc/{pid}/clear_refs").write_text("5"))


def peak_mb(worker):
    """The most that one of its processes has had since the last reset."""

    def high_water(pid):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM")), 0)

    return max(of_each(worker, high_water))


def lasting_keys(stage):
    """How many keys of both databases never expire."""
    return sum(base["keys"] - base["expires"] for base in stage.broker.info("keyspace").values())


def slope(points):
    """How much y grows with each x, by least squares."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
