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
    """Looks at a tree every half second: peak of its sum (PSS), peak of a single process (RSS), and the sum over time."""

    def __init__(self, root, interval=0.5):
        self.root = root
        self.peak_pss_mib = 0.0
        self.peak_process_rss_mib = 0.0
        self.pss_over_time = []
        self._interval = interval
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        began = time.monotonic()
        while not self._end.is_set():
            sizes = [benchlib.mem([pid]) for pid in benchlib.tree([self.root])]
            pss = sum(size[0] for size in sizes)
            self.peak_pss_mib = max(self.peak_pss_mib, pss)
            self.peak_process_rss_mib = max([self.peak_process_rss_mib, *(size[1] for size in sizes)])
            self.pss_over_time.append((round(time.monotonic() - began, 1), round(pss, 1)))
            self._end.wait(self._interval)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()
