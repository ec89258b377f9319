"""R5, R32: Python and celeriac workers on the same queue and the same database."""

import collections

import aof
from registry import Found, scenario
from stage import DURABLE, SLOTS, Process, Stage, impatient, wait_until
from taken_away import restart

# How many times the visibility timeout a task takes, or is away from its time.
TIMES = 3
# A task begins a little after its worker has claimed it, from when on the timeout runs.
CLAIMED = 0.5


@scenario(
    "R5",
    "tasks of three visibility timeouts, and as far away, while Python peers sweep",
    short={"timeout": 8, "lease": 4},
    full={"timeout": 10, "lease": 4},
)
def long_tasks(play):
    timeout = play.size["timeout"]
    with Stage(play) as stage:
        owner = stage.start(**impatient(timeout))
        long = stage.send("proj.logged", [(TIMES * timeout,)] * (SLOTS - 1))
        away = stage.send("proj.logged", [(0,)] * SLOTS, countdown=TIMES * timeout)
        stage.begun(long)
        for kind in ("python", "python", "celeriac"):
            stage.start(kind, **impatient(timeout))
        settled = stage.rest()
        wait_until(lambda: all_ended(stage), 60, "every run has ended", poll=0.1)
        begins = stage.oracle.begins()
        found = Found(settled=settled, lost=len(stage.lost()))
        found["runs of each long task"] = [len(begins[number]) for number in long]
        found["runs of each that was away"] = [len(begins[number]) for number in away]
        # Where Python's time-out may take it, it must not be taken sooner.
        early = [number for number in long for again in begins[number][1:] if again.at - begins[number][0].at < timeout - CLAIMED]
        found["taken from their owner before the timeout"] = len(early)
        found["long tasks begun by their first owner"] = sum(begins[number][0].pid == owner.pid for number in long)
        found.fault_if(early, f"tasks {early} were taken from an owner that worked")
        found.fault_if(found["lost"], f"tasks {stage.lost()} were lost")
        found.fault_if(any(len(begins[number]) != 1 for number in (*long, *away)), "tasks ran more than once")
        found.fault_if(not settled, "messages are left that nobody takes")
        return found


def all_ended(stage):
    entries = stage.oracle.entries()
    return 2 * sum(entry.what == "ended" for entry in entries) == len(entries)


SECONDS = [0, 0, 0.005, 0.01, 0.02, 0.05, 0.1]
KINDS = {"celeriac": ("celeriac", "python"), "python": ("python", "python")}


@scenario(
    "R32",
    "a mixed fleet: workers of both kinds are killed, and Redis restarts",
    short={"tasks": 900, "kills": 4, "restarts": 2, "longest": 1, "lease": 6, "timeout": 6},
    full={"tasks": 9000, "kills": 40, "restarts": 20, "longest": 5, "timeout": 20},
)
def fleet(play):
    size, draw = play.size, play.draw
    with Stage(play, (*DURABLE, *aof.ONE_FILE)) as stage:
        crew, harms = Crew(stage, KINDS[play.worker]), ["kill"] * size["kills"] + ["restart"] * size["restarts"]
        draw.shuffle(harms)
        each = size["tasks"] // len(harms)
        for harm in harms:
            before = stage.oracle.length()
            stage.send("proj.logged", [(draw.choice(SECONDS),) for _ in range(each)])
            crew.progress(before + draw.randrange(10, each))
            if harm == "kill":
                crew.kill(sum(crew.killed.values()) % 2)
            else:
                restart(stage, draw.choice(["kill", "term"]), draw.uniform(0, size["longest"]))
            crew.supervise()
        found = Found(settled=stage.rest(), tasks=len(stage.ids), killed=dict(crew.killed), restarts=size["restarts"])
        crew.judge(found)
        found["ended or stood still by themselves"] = dict(crew.ends)
        found.fault_if(crew.ends["celeriac"], "a celeriac worker ended because Redis was away")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        return found


class Crew:
    """Two workers, each of its kind, started again whenever they end."""

    def __init__(self, stage, kinds):
        self._stage, self._kinds = stage, kinds
        self.killed, self.ends = collections.Counter(), collections.Counter()
        # Every worker's kind, and which of them were killed, by process.
        self._kind, self._dead = {}, set()
        self._workers = [self._start(place) for place in range(len(kinds))]

    def _start(self, place):
        kind = self._kinds[place]
        worker = self._stage.start(kind, **impatient(self._stage.play.size["timeout"]))
        self._kind[worker.pid] = kind
        return worker

    def kill(self, place):
        self._workers[place].kill_group()
        self.killed[self._kinds[place]] += 1
        self._dead.add(self._workers[place].pid)
        self._workers[place] = self._start(place)

    def progress(self, entries):
        """Waits until the oracle has so many entries. Who lets everybody wait is started again."""
        try:
            self._stage.progress(entries, patience=30)
        except AssertionError:
            self.supervise(lambda _: False)
            self._stage.progress(entries)

    def supervise(self, well=Process.alive):
        """Starts again what has ended by itself, or is not well."""
        for place, worker in enumerate(self._workers):
            if not well(worker):
                self.ends[self._kinds[place]] += 1
                worker.kill_group()
                self._dead.add(worker.pid)
                self._workers[place] = self._start(place)

    def judge(self, found):
        """What was lost, and what ran again, each by who had it last."""
        stage, held = self._stage, aof.owners(self._stage)
        lost = set(stage.lost())
        without = {number for number, state in stage.states().items() if state != "SUCCESS"} - lost
        for name, numbers in (("lost", lost), ("ended without a result", without)):
            of = collections.Counter(held[stage.ids[number]] or "python, never written down" for number in numbers)
            found[name] = len(numbers)
            found.update({f"{name}, of those claimed by {owner}": count for owner, count in of.items()})
            found.fault_if(of["celeriac"], f"what celeriac had claimed {name}")
        begins = stage.oracle.begins().values()
        runs = collections.Counter(self._kind[entry.pid] for entries in begins for entry in entries)
        again = [entry.pid for entries in begins for entry in entries[:-1]]
        of_living = collections.Counter(self._kind[pid] for pid in again if pid not in self._dead)
        found.update({f"runs by {kind}": count for kind, count in runs.items()})
        found["extra runs"] = len(again)
        found["extra runs of what a living worker had begun"] = dict(of_living)
        found.fault_if(of_living["celeriac"], "tasks of a living celeriac worker ran again")
