"""Peaks of memory of a tree of processes while it runs. CPU and single readings are `celery/benchlib.py`'s."""

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "celery"))
import benchlib  # noqa: E402


def cpu(root):
    """CPU seconds of a process and all that descend from it, with those that ended and were waited for."""
    return benchlib.cpu(benchlib.tree([root]))


class MemoryWatch:
    """Looks at a tree every half second: peak of its sum (PSS), peak of a single process (RSS), and both over time."""

    def __init__(self, root, interval=0.5):
        self.root = root
        # (seconds, PSS of the tree, RSS of its largest process), MiB
        self.over_time = []
        self._interval = interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def peak_pss_mib(self):
        return max((pss for _, pss, _ in self.over_time), default=0.0)

    @property
    def peak_process_rss_mib(self):
        return max((rss for _, _, rss in self.over_time), default=0.0)

    def _run(self):
        began = time.monotonic()
        while not self._end.is_set():
            sizes = [benchlib.mem([pid]) for pid in benchlib.tree([self.root])]
            pss, largest = sum(size[0] for size in sizes), max((size[1] for size in sizes), default=0.0)
            self.over_time.append((round(time.monotonic() - began, 1), round(pss, 1), round(largest, 1)))
            self._end.wait(self._interval)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


def growth(over_time):
    """Peak RSS of the largest process in the last third of a run, of that in its middle third: 1 where memory is flat."""
    if len(over_time) < 6:
        return None
    third = len(over_time) // 3
    middle, last = (max(rss for _, _, rss in part) for part in (over_time[third : 2 * third], over_time[2 * third :]))
    return last / middle if middle else None
