"""What a worker and its Redis are made of while they work: memory, files, clients, keys that never expire."""

from pathlib import Path

from stage import rss_mb

# One line a worker that is ready; nothing for each task.
QUIET = {"RUST_LOG": "error,celeriac::worker=info,celeriac::worker::request=off"}


def family(pid):
    """A process and all that descend from it."""
    found, rest = [], [pid]
    while rest:
        found.append(rest.pop())
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            rest += [int(child) for child in children.read_text().split()]
    return found


def memory_mb(worker):
    """Resident memory of a worker, of its largest process: where it keeps what it holds."""
    return max(rss_mb(pid) for pid in family(worker.pid))


def files(worker):
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in family(worker.pid))


def reset_peak(worker):
    for pid in family(worker.pid):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_mb(worker):
    """The most that one of its processes has had since the last reset."""

    def high_water(pid):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))

    return max(high_water(pid) for pid in family(worker.pid))


def lasting_keys(stage):
    """How many keys of both databases never expire."""
    return sum(base["keys"] - base["expires"] for base in stage.broker.info("keyspace").values())


def slope(points):
    """How much y grows with each x, by least squares."""
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
