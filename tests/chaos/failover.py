"""P27: the master dies, or changes places with its replica, and sentinels say who it is now."""

import redis
from celery import Celery
from registry import Found, scenario
from sentinels import MASTER, Watched
from stage import PYTHON_VISIBILITY_TIMEOUT, Stage, spread

SECONDS = [0, 0, 0.005, 0.01, 0.02, 0.05, 0.1]


class WatchedStage(Stage):
    """A stage whose Redis has a replica, and whose workers know the sentinels alone."""

    def __init__(self, play):
        super().__init__(play)
        self.watched = Watched(play.folder, self.server)
        timeout = {"visibility_timeout": PYTHON_VISIBILITY_TIMEOUT} if play.worker == "python" else {}
        self._environment.update(self.watched.environment(**timeout))
        self.client.close()
        self.client = Celery("client", broker=self.watched.url(0))
        self.client.conf.broker_transport_options = {"master_name": MASTER}

    def __exit__(self, *_):
        super().__exit__()
        self.watched.__exit__()

    def send(self, *arguments, **options):
        """Sends, and waits until the replica has it too: what is not replicated is lost with a master, whoever the workers are."""
        numbers = super().send(*arguments, **options)
        self.watched.until_in_step()
        return numbers

    def fail_over(self, how):
        """Returns the time from which on the new master accepted."""
        (self.watched.kill if how == "kill" else self.watched.change_places)()
        promoted = self.oracle.now()
        self.server = self.watched.server
        self.broker, self.results = redis.Redis(port=self.server.port, db=0), redis.Redis(port=self.server.port, db=1)
        return promoted


@scenario(
    "P27",
    "failover: the master is killed, or changes places with its replica, under Sentinel",
    short={"tasks": 400, "failovers": 2, "lease": 6},
    full={"tasks": 800, "failovers": 10},
)
def failovers(play):
    size, draw = play.size, play.draw
    with WatchedStage(play) as stage:
        worker, resumed, ends = stage.start(), [], 0
        for n in range(size["failovers"]):
            stage.send("proj.logged", [(draw.choice(SECONDS),) for _ in range(size["tasks"])])
            stage.progress(stage.oracle.length() + draw.randrange(10, size["tasks"]))
            seconds = stage.resumed(stage.fail_over(("kill", "places")[n % 2]))
            if seconds is None or not worker.alive():
                ends += 1
                worker.kill_group()
                worker = stage.start()
            else:
                resumed.append(seconds)
            stage.watched.until_whole()
        found = Found(settled=stage.rest(), lost=len(stage.lost()), failovers=size["failovers"])
        found["worker ended or stood still"] = ends
        found.update({f"resumed after, {name}": value for name, value in spread(resumed).items()})
        found["extra runs"] = sum(len(begins) - 1 for begins in stage.oracle.begins().values())
        without = [number for number, state in stage.states().items() if state != "SUCCESS"]
        found["without a result"] = len(without)
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        found.fault_if(without, f"tasks {without[:10]} have no result")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        found.fault_if(ends, "the worker ended or stood still")
        found.fault_if(resumed and found["resumed after, max"] >= 2, "the worker took too long to go on")
        return found
