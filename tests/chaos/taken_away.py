"""R6, R8, R28: Redis that goes away, refuses, or does not answer any more."""

import time

from proxy import Proxy
from registry import Found, scenario
from stage import DURABLE, Stage, pause, wait_until, went_on

SECONDS = [0, 0, 0.005, 0.01, 0.02, 0.05, 0.1]


@scenario(
    "R6",
    "Redis restarts, each write on disk (AOF always)",
    short={"tasks": 1000, "restarts": 3, "longest": 2},
    full={"tasks": 4000, "restarts": 20, "longest": 10},
)
def restarts(play):
    size, draw = play.size, play.draw
    with Stage(play, DURABLE) as stage:
        harms = Harms(stage)
        for n, entries in enumerate(draw.sample(range(10, int(size["tasks"] * 1.7)), size["restarts"])):
            harms.at.append((entries, restart, ("kill", "term")[n % 2], draw.uniform(0, size["longest"])))
        return harms.play()


def restart(stage, how, seconds):
    stage.stop_server(how)
    pause(seconds)
    return stage.start_server()


@scenario(
    "R28",
    "Redis refuses: maxmemory, READONLY, MASTERDOWN, LOADING",
    short={"tasks": 1000, "rounds": 1, "longest": 2, "lease": 6},
    full={"tasks": 4000, "rounds": 5, "longest": 10},
)
def refusals(play):
    size, draw = play.size, play.draw
    with Stage(play, DURABLE) as stage:
        harms = Harms(stage)
        kinds = [short_of_memory, replica, cut_off_replica, loading] * size["rounds"]
        for kind, entries in zip(kinds, draw.sample(range(10, int(size["tasks"] * 1.7)), len(kinds))):
            harms.at.append((entries, kind, draw.uniform(1, size["longest"])))
        found = harms.play()
        missing = {"READONLY", "MASTERDOWN", "LOADING"} - set(found["refusals"])
        found.fault_if(missing, f"nobody was refused with {missing}: the scenario did not happen")
        return found


def short_of_memory(stage, seconds):
    stage.broker.config_set("maxmemory", "1mb")
    pause(seconds)
    stage.broker.config_set("maxmemory", "0")
    return stage.oracle.now()


def replica(stage, seconds):
    """A failover as the old master sees it: it answers, and refuses to write."""
    stage.broker.replicaof("127.0.0.1", "1")
    pause(seconds)
    stage.broker.replicaof("NO", "ONE")
    return stage.oracle.now()


def cut_off_replica(stage, seconds):
    stage.broker.config_set("replica-serve-stale-data", "no")
    healed = replica(stage, seconds)
    stage.broker.config_set("replica-serve-stale-data", "yes")
    return healed


def loading(stage, seconds):
    """A restart that reads its data slowly: until it has, it answers LOADING."""
    for key in range(100):
        stage.broker.set(f"filling-{key}", "x" * 1024, ex=600)
    stage.broker.bgrewriteaof()
    wait_until(lambda: not stage.broker.info()["aof_rewrite_in_progress"], 20, "the data are written")
    keys = stage.broker.dbsize() + stage.results.dbsize()
    stage.stop_server("kill")
    # Microseconds for each key.
    return stage.start_server("--key-load-delay", str(int(seconds / keys * 1e6)), "--loading-process-events-interval-bytes", "1024")


class Harms:
    """One worker under load, and what is done to its Redis in between."""

    def __init__(self, stage):
        self._stage = stage
        # After so many entries of the oracle: what, and its arguments.
        self.at = []
        # The names of Redis's refusals; it forgets them with a restart.
        self._refusals = set()

    def play(self):
        stage, draw = self._stage, self._stage.play.draw
        stage.send("proj.logged", [(draw.choice(SECONDS),) for _ in range(stage.play.size["tasks"])])
        worker, ends, resumed, found = stage.start(), 0, [], Found()
        for entries, harm, *arguments in sorted(self.at, key=lambda row: row[0]):
            stage.progress(entries)
            healed = harm(stage, *arguments)
            self._refusals |= {name.removeprefix("errorstat_") for name in stage.broker.info("errorstats")}
            seconds = stage.resumed(healed) if worker.alive() else None
            if seconds is None:
                # A supervisor would start it again.
                ends += 1
                worker.kill_group()
                worker = stage.start()
            else:
                resumed.append(seconds)
        found.update(settled=stage.rest(), lost=len(stage.lost()), harms=len(self.at), refusals=sorted(self._refusals))
        return went_on(stage, found, resumed, ends, at="p99")


@scenario("R8", "a connection that is half open", short={"holes": 1, "seconds": 12}, full={"holes": 5, "seconds": 30})
def half_open(play):
    with Stage(play) as stage, Proxy(stage.server.port) as proxy:
        noticed, resumed = [], []
        worker = stage.start(**stage.urls(proxy.port))
        for _ in range(play.size["holes"]):
            stage.send("proj.logged", [(0.05,)] * 400)
            stage.progress(stage.oracle.length() + 50)
            attempts, began = proxy.attempts, time.monotonic()
            proxy.swallow()
            try:
                wait_until(lambda: proxy.attempts > attempts, play.size["seconds"] * 3, "the worker connects anew", poll=0.01)
                noticed.append(time.monotonic() - began)
            except AssertionError:
                noticed.append(float("inf"))
            pause(max(0.0, play.size["seconds"] - (time.monotonic() - began)))
            proxy.heal()
            resumed.append(stage.resumed(stage.oracle.now()))
        found = Found(settled=stage.rest(), lost=len(stage.lost()), alive=worker.alive())
        found["extra runs"] = sum(len(begins) - 1 for begins in stage.oracle.begins().values())
        found["noticed after, max"] = round(max(noticed), 3)
        found["resumed after, max"] = None if None in resumed else round(max(resumed), 3)
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        found.fault_if(not found["alive"], "the worker ended")
        found.fault_if(max(noticed) > play.at_most(10, short=15), "the worker noticed too late")
        found.fault_if(None in resumed or max(resumed) > play.at_most(2, short=10), "the worker took too long to go on")
        return found
