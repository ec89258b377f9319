"""R14: tasks with an ETA by the hundred thousand, and a thousand due each second."""

import bulk
from registry import Found, scenario
from stage import Stage, pause, spread, wait_until
from vitals import QUIET, memory_mb

# What is far is due in an hour at the earliest: it must be there when the scenario ends.
FAR = (3600, 7200)
GROWS_MB, LATE_S, SHORT_LATE_S, STOPS_S = 20, 0.25, 5, 1


@scenario(
    "R14",
    "tasks with an ETA by the hundred thousand",
    short={"far": 5000, "rate": 100, "seconds": 3, "lease": 3},
    full={"far": 100_000, "rate": 1000, "seconds": 20},
)
def due(play):
    size, draw = play.size, play.draw
    with Stage(play, environment=QUIET) as stage:
        worker = stage.start(slots=16)
        one_batch(stage)
        found = Found(**{"RSS before, MB": round(memory_mb(worker), 1)})
        now = stage.oracle.now()
        far = bulk.send(stage, [("proj.add", (1, 1), now + draw.uniform(*FAR)) for _ in range(size["far"])])
        wait_until(lambda: not stage.broker.llen("celery"), 600, "the worker has seen all that is far", poll=0.2)
        grown = [memory_mb(worker)]
        late = lateness(stage, one_batch(stage))
        found.update({f"late, {name}": value for name, value in spread(late).items()})
        found["run before their ETA"] = sum(seconds < -0.005 for seconds in late)
        grown.append(memory_mb(worker))
        found["RSS grows, MB"] = round(max(grown) - found["RSS before, MB"], 1)
        worker = kill_between(stage, worker)
        found["lost of those that were due"] = len(set(range(len(stage.ids))) - set(far) - stage.oracle.ended())
        found["seconds to stop"], found["exit code"] = stop(stage, worker)
        found["lost of those that are far"] = len({stage.ids[number] for number in far} - bulk.waiting_ids(stage))
        # A hundred a second say little on a machine that has other work.
        judge(found, LATE_S if size["rate"] >= 1000 else SHORT_LATE_S)
        return found


def judge(found, late):
    found.fault_if(found["RSS grows, MB"] >= GROWS_MB, "the worker holds in its memory what is not due")
    found.fault_if(found["late, p99"] >= late, "tasks were run too long after their ETA")
    found.fault_if(found["run before their ETA"], "tasks were run before their ETA")
    found.fault_if(found["lost of those that were due"] or found["lost of those that are far"], "tasks were lost")
    found.fault_if(found["seconds to stop"] >= STOPS_S or found["exit code"], "the worker did not stop in time")


def send_batch(stage):
    """Sends tasks that are due at an even rate, the first some seconds from now; their ETAs by number."""
    size = stage.play.size
    # Sending takes its time too.
    first = stage.oracle.now() + 2 + size["rate"] * size["seconds"] / 10_000
    etas = [first + n / size["rate"] for n in range(int(size["rate"] * size["seconds"]))]
    port, start = stage.oracle.port, len(stage.ids)
    calls = [("proj.logged", (port, number, 0), eta) for number, eta in enumerate(etas, start)]
    return dict(zip(bulk.send(stage, calls), etas))


def one_batch(stage):
    etas = send_batch(stage)
    ended(stage, etas)
    return etas


def ended(stage, etas):
    # Each writes two entries; a set of all of them is only made when there are enough.
    entries = stage.oracle.length() + 1
    wait_until(lambda: stage.oracle.length() >= entries and etas.keys() <= stage.oracle.ended(), 300, "what was due has ended", poll=0.5)


def lateness(stage, etas):
    """By how many seconds each of them began too late. The oracle's times are those of this machine, as ETAs are."""
    return [begins[0].at - etas[number] for number, begins in stage.oracle.begins().items() if number in etas]


def kill_between(stage, worker):
    """Kills the worker while tasks become due, and starts it again; all of them must end."""
    etas = send_batch(stage)
    moment = stage.play.draw.uniform(min(etas.values()), max(etas.values()))
    pause(max(0.0, moment - stage.oracle.now()))
    worker.kill_group()
    worker = stage.start(slots=16)
    ended(stage, etas)
    return worker


def stop(stage, worker):
    before = stage.oracle.now()
    code = worker.stop(seconds=120)
    return round(stage.oracle.now() - before, 2), code
