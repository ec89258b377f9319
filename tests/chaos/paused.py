"""R4: a worker that stands still for a while is not dead; one that stands still for too long has lost its work, and its word."""

import collections
import signal
import threading

from registry import Found, scenario
from stage import SLOTS, Stage, pause

# Of the lease: renewed every quarter of it, so that half of it is never too long; twice is always.
SHORTER, LONGER = 0.5, 2.0


class Announced(threading.Thread):
    """Counts how often each result is written, as the clients that wait for it hear it."""

    def __init__(self, results):
        super().__init__(daemon=True)
        self._listening = results.pubsub()
        self._listening.psubscribe("celery-task-meta-*")
        assert self._listening.get_message(timeout=10)["type"] == "psubscribe"
        self._ending = threading.Event()
        self.times = collections.Counter()
        self.start()

    def run(self):
        while not self._ending.is_set():
            message = self._listening.get_message(timeout=0.1)
            if message and message["type"] == "pmessage":
                self.times[message["channel"].decode().removeprefix("celery-task-meta-")] += 1

    def end(self):
        self._ending.set()
        self.join()
        self._listening.close()


@scenario("R4", "SIGSTOP for less and for more than the lease", short={"rounds": 1, "lease": 10}, full={"rounds": 3})
def stopped(play):
    with Stage(play) as stage:
        found = Found(stops=0)
        announced = Announced(stage.results)
        for _ in range(play.size["rounds"]):
            for share in (SHORTER, LONGER):
                one_stop(stage, share)
                found["stops"] += 1
        found.update(settled=stage.rest(), lost=len(stage.lost()))
        announced.end()
        begins = stage.oracle.begins()
        group = {share: [] for share in (SHORTER, LONGER)}
        for number in range(len(stage.ids)):
            group[(SHORTER, LONGER)[number // SLOTS % 2]].append(number)
        found["run twice after a shorter stop"] = sum(len(begins[number]) > 1 for number in group[SHORTER])
        found["run twice after a longer stop"] = sum(len(begins[number]) > 1 for number in group[LONGER])
        found["results written twice"] = sum(announced.times[id] > 1 for id in stage.ids)
        found.fault_if(found["run twice after a shorter stop"], "a worker that lived lost its tasks")
        found.fault_if(found["run twice after a longer stop"] != len(group[LONGER]), "a worker that was gone kept its tasks")
        found.fault_if(any(announced.times[id] != 1 for id in stage.ids), "a result was not written once")
        found.fault_if(found["lost"], f"tasks {stage.lost()} were lost")
        return found


def one_stop(stage, share):
    """Stops a worker for so many leases while its slots are busy; another is there to take over."""
    worker = stage.start()
    # Ended when the longer stop is over, and not yet when the tasks have begun again elsewhere.
    numbers = stage.send("proj.logged", [(stage.lease * 1.2,)] * SLOTS)
    stage.begun(numbers)
    other = stage.start()
    worker.signal(signal.SIGSTOP)
    pause(stage.lease * share)
    worker.signal(signal.SIGCONT)
    stage.rest()
    for ended in (worker, other):
        ended.stop()
