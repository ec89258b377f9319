"""R15, R16: a million tasks, waiting or run: a worker costs no more, and is no slower, than with a thousand."""

import time

import bulk
from registry import Found, scenario
from stage import QUEUE, Stage, spread, wait_until
from vitals import QUIET, cpu_s, files, lasting_keys, memory_mb, slope

# What a message carries beside its envelope.
PAYLOAD = "x" * 200
MOST_MB, SLOWER = 40, 0.10


@scenario(
    "R15",
    "a million tasks in the queue",
    short={"deep": 20_000, "shallow": 1000, "rounds": 1, "seconds": 1.5},
    full={"deep": 1_000_000, "shallow": 1000, "rounds": 3, "seconds": 8},
)
def deep(play):
    size = play.size
    with Stage(play, environment=QUIET) as stage:
        worker = stage.start()
        texts = [text(stage) for _ in range(20_000)]
        rate, cost = {"shallow": [], "deep": []}, {"shallow": [], "deep": []}
        found = Found(**{"RSS, shallow, MB": 0, "RSS, deep, MB": 0})
        feed(stage, worker, texts, size["shallow"], 2)
        for _ in range(size["rounds"]):
            # In turn: the machine has other work too, and not always the same.
            for depth in ("shallow", "deep"):
                fill(stage, size[depth])
                tasks, computed = feed(stage, worker, texts, size[depth], size["seconds"])
                rate[depth].append(tasks / size["seconds"])
                cost[depth].append(1e6 * computed / tasks)
                found[f"RSS, {depth}, MB"] = max(found[f"RSS, {depth}, MB"], round(memory_mb(worker), 1))
                stage.broker.delete(QUEUE)
        for depth in rate:
            found[f"tasks a second, {depth}"] = round(spread(rate[depth])["p50"])
            found[f"µs of CPU a task, {depth}"] = round(spread(cost[depth])["p50"])
        found["deep, of shallow, % of CPU"] = round(100 * found["µs of CPU a task, deep"] / found["µs of CPU a task, shallow"])
        found.fault_if(found["RSS, deep, MB"] >= MOST_MB, "the worker is too large")
        # By what it computes: what it gets done a second depends on what else the machine does. A short round says nothing of ten percent.
        dearer = found["deep, of shallow, % of CPU"] > 100 * (1 + SLOWER)
        found.fault_if(size["deep"] >= ENOUGH and dearer, "a deep queue makes each task dearer")
        return found


def text(stage):
    return bulk.message(bulk.fresh_id(stage.play.draw), "proj.echo", bulk.body([PAYLOAD]), ignore_result=True)


def fill(stage, depth):
    """Fills the queue to this depth. The worker takes some of it meanwhile."""
    page = [text(stage) for _ in range(bulk.PAGE)]
    while (missing := depth - stage.broker.llen(QUEUE)) > 0:
        with stage.broker.pipeline(transaction=False) as pipeline:
            for _ in range(min(20, missing // bulk.PAGE + 1)):
                pipeline.lpush(QUEUE, *page)
            pipeline.execute()


def feed(stage, worker, texts, depth, seconds):
    """Keeps the queue at a depth for so long; how many tasks the worker took, and how many seconds it and Redis computed."""
    computed = cpu_s(worker) + cpu_s(stage.server)
    began, first, fed = time.monotonic(), stage.broker.llen(QUEUE), 0
    # The same for each depth: what it costs to feed is part of both rates.
    while time.monotonic() < began + seconds:
        missing = depth - stage.broker.llen(QUEUE)
        if missing >= 200:
            stage.broker.lpush(QUEUE, *texts[:missing])
            fed += min(missing, len(texts))
        time.sleep(0.002)
    return first + fed - stage.broker.llen(QUEUE), cpu_s(worker) + cpu_s(stage.server) - computed


# What is sent, of a hundred.
MIXTURE = [("proj.add", (1, 2))] * 85 + [("proj.fails", ("on purpose",))] * 10 + [("proj.flaky", (1,))] * 5
# More of these than there are at the start means that they leak.
MORE_FILES, MORE_CLIENTS, MORE_KEYS, MOST_SLOPE = 5, 2, 5, 1.0
# Below so many tasks the memory still settles, and its slope says nothing.
ENOUGH = 500_000


@scenario("R16", "a million tasks, one after the other", short={"tasks": 20_000, "samples": 10}, full={"tasks": 1_000_000, "samples": 50})
def soak(play):
    size = play.size
    with Stage(play, environment=QUIET) as stage:
        worker = stage.start()
        each, samples, began = size["tasks"] // size["samples"], [], time.monotonic()
        for _ in range(size["samples"]):
            numbers = bulk.send(stage, (play.draw.choice(MIXTURE) for _ in range(each)))
            wait_until(lambda: not stage.broker.llen(QUEUE) and not stage.broker.hlen("unacked"), 600, "what was sent has ended", poll=0.05)
            settle(stage, numbers)
            clients = stage.broker.info("clients")["connected_clients"]
            samples.append((len(stage.ids), memory_mb(worker), files(worker), clients, lasting_keys(stage)))
        found = Found(**{"tasks a second": round(len(stage.ids) / (time.monotonic() - began))})
        found["states"] = bulk.states(stage, range(len(stage.ids)))
        measured(samples, found)
        found.fault_if(set(found["states"]) != {"SUCCESS", "FAILURE"}, "tasks have no result")
        found.fault_if(not worker.alive(), "the worker ended")
        return found


def settle(stage, numbers):
    """A retry is between two places for a moment: acked, and not yet sent or parked."""
    wait_until(lambda: set(bulk.states(stage, numbers)) <= {"SUCCESS", "FAILURE"}, 60, "what was sent has a result", poll=0.05)


def measured(samples, found):
    """What has grown from one sample to the next. The first fifth of them does not count: there the worker is still new."""
    counted = samples[len(samples) // 5 :]
    found["RSS, MB, first and last"] = [round(sample[1], 1) for sample in (counted[0], counted[-1])]
    found["RSS, MB, for 100,000 tasks"] = round(slope([(sample[0] / 1e5, sample[1]) for sample in counted]), 2)
    names = ("files", "clients of Redis", "keys without TTL")
    for column, (name, most) in enumerate(zip(names, (MORE_FILES, MORE_CLIENTS, MORE_KEYS)), 2):
        values = [sample[column] for sample in counted]
        found[f"{name}, from and to"] = [min(values), max(values)]
        found.fault_if(values[-1] - values[0] > most, f"{name} leak")
    slow = samples[-1][0] < ENOUGH or found["RSS, MB, for 100,000 tasks"] < MOST_SLOPE
    found.fault_if(not slow, "memory leaks")
