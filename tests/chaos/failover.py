"""P27: the master dies, or changes places with its replica, and sentinels say who it is now."""

import redis
from celery import Celery
from registry import Found, scenario
from sentinels import MASTER, Watched
from stage import PYTHON_VISIBILITY_TIMEOUT, Stage, went_on

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
            # While they are sent and replicated the worker is at work: at least half of them are to be left when the master goes.
            before = stage.oracle.length()
            stage.send("proj.logged", [(draw.choice(SECONDS),) for _ in range(size["tasks"])])
            stage.progress(before + draw.randrange(10, size["tasks"]))
            seconds = stage.resumed(stage.fail_over(("kill", "places")[n % 2]))
            if seconds is None or not worker.alive():
                ends += 1
                worker.kill_group()
                worker = stage.start()
            else:
                resumed.append(seconds)
            stage.watched.until_whole()
        found = Found(settled=stage.rest(), lost=len(stage.lost()), failovers=size["failovers"])
        return went_on(stage, found, resumed, ends, at="max")
