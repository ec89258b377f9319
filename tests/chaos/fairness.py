"""R20: no task waits for a busy worker while another worker has a slot that is idle."""

import collections

from registry import Found, scenario
from stage import SLOTS, Stage, pause, spread

WORKERS = 2
# So short that fetching several at once pays; and long ones, as many as fill a worker, that hold up whatever was fetched to come after.
SHORT, LONG = [0, 0, 0.002, 0.005, 0.02], 1.0
BURST = [LONG] * (SLOTS + 1) + [0] * 45
BAR = 0.05
# What is idle for less is on its way from one task to the next.
GAP = 0.002
# The default of both, which the tasks' applications have changed.
PREFETCH = {"CELERY_WORKER_PREFETCH_MULTIPLIER": "4"}


@scenario("R20", "long and short tasks on two workers", short={"bursts": 8}, full={"bursts": 100})
def fairness(play):
    size, draw = play.size, play.draw
    with Stage(play) as stage:
        pids = [stage.start(**PREFETCH).pid for _ in range(WORKERS)]
        began, sent = stage.oracle.now(), {}
        for _ in range(size["bursts"]):
            at = draw.randrange(len(BURST))
            for seconds in BURST[at:] + BURST[:at]:
                (number,) = stage.send("proj.logged", [(seconds or draw.choice(SHORT),)])
                sent[number] = stage.oracle.now()
            # Some slots are idle in between, some are not.
            pause(draw.uniform(0.5, 1.5))
        found = Found(settled=stage.rest(), lost=len(stage.lost()), tasks=len(sent))
        waits = waited_beside_idle_slots(stage.oracle.entries(), began, sent, pids)
        found.update({f"waited while a slot was idle, {name}": value for name, value in spread(waits).items()})
        bar = play.at_most(BAR, short=0.8)
        late = sum(seconds > bar for seconds in waits)
        found[f"waited longer than {bar} s"] = late
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        # A machine that others use lets single tasks wait for its cores.
        found.fault_if(late > len(sent) * 0.03, "tasks wait for a busy worker while another is idle")
        return found


def waited_beside_idle_slots(entries, began, sent, pids):
    """For each task how long, at a stretch, it was ready and not begun while the same slot of some worker was idle."""
    begins = {entry.number: entry.at for entry in reversed(entries) if entry.what == "begun"}
    idle = [(start, end) for start, end in idle_slots(entries, began, pids) if end - start > GAP]
    longest = []
    for number, ready in sent.items():
        overlaps = (min(end, begins[number]) - max(start, ready) for start, end in idle)
        longest.append(max(0.0, max(overlaps, default=0.0)))
    return longest


def idle_slots(entries, began, pids):
    """The times at which a slot had nothing to run. Whoever begins has the slot of its worker that has been idle for longest."""
    free = {pid: collections.deque([began] * SLOTS) for pid in pids}
    # A task may say that it begins before the last word of the one before it is written down.
    early = collections.Counter()
    for entry in entries:
        slots = free[entry.pid]
        if entry.what == "begun" and slots:
            yield slots.popleft(), entry.at
        elif entry.what == "begun":
            early[entry.pid] += 1
        elif early[entry.pid]:
            early[entry.pid] -= 1
        else:
            slots.append(entry.at)
    last = entries[-1].at
    yield from ((start, last) for starts in free.values() for start in starts)
