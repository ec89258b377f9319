"""R13: dead letters that are put back to their queue by a command that is killed on the way."""

from registry import Found, scenario
from stage import Stage, wait_until

DEAD_LETTERS = "celeriac.dead_letters"
LIMIT = 3
# As of a message whose workers died of it so often, the last time of nothing else.
POISONED = {"redelivered": True, "x-delivery-count": LIMIT, "x-run-alone": LIMIT - 1}


@scenario(
    "R13",
    "dead letters are put back by a command that is killed again and again",
    short={"letters": 6000, "kills": 3},
    full={"letters": 10_000, "kills": 10},
)
def replay(play):
    size = play.size
    with Stage(play) as stage:
        bury(stage, size["letters"])
        runner = stage.start()
        kills, codes = killed_on_the_way(stage), []
        while stage.broker.hlen(DEAD_LETTERS):
            codes.append(stage.command("dlq", "requeue", "--all", "-f").ended(60))
        found = Found(letters=size["letters"], kills=len(kills), settled=stage.rest(), lost=len(stage.lost()))
        found["letters that were left at each kill"] = kills
        begins = stage.oracle.begins()
        found["run more than once"] = sum(len(entries) > 1 for entries in begins.values())
        found["without a result"] = sum(state != "SUCCESS" for state in stage.states().values())
        found["dead letters left"] = stage.broker.hlen(DEAD_LETTERS)
        found.fault_if(not found["settled"] or not runner.alive(), "messages are left that nobody takes")
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        found.fault_if(found["run more than once"], "messages were put back twice")
        found.fault_if(found["without a result"], "tasks have no result, or that of their first death")
        found.fault_if(codes not in ([], [0]), f"the command that was not killed ended with {codes}")
        found.fault_if(len(kills) < (1 if play.short else size["kills"]), "the command was ahead of its kills: the scenario did not happen")
        return found


def bury(stage, letters):
    """Has a celeriac worker give so many messages up, and ends it."""
    stage.send("proj.logged", [(0,)] * letters, headers=POISONED)
    undertaker = stage.start("celeriac", CELERIAC_MAX_DELIVERIES=str(LIMIT))
    wait_until(lambda: stage.broker.hlen(DEAD_LETTERS) == letters, 60, "all are dead letters", poll=0.1)
    stage.rest()
    assert undertaker.stop() == 0 and stage.oracle.length() == 0, "a message that was to be given up has run"


def killed_on_the_way(stage):
    """Kills the command at points drawn from what is left; how much that was."""
    size, kills = stage.play.size, []
    for left in sorted(stage.play.draw.sample(range(size["letters"] // 2, size["letters"]), size["kills"]), reverse=True):
        command = stage.command("dlq", "requeue", "--all", "-f")
        wait_until(lambda: stage.broker.hlen(DEAD_LETTERS) <= left or not command.alive(), 60, "some went", poll=0)
        if command.alive():
            command.kill_9()
            kills.append(stage.broker.hlen(DEAD_LETTERS))
    return kills
