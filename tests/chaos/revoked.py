"""R18: tasks that are revoked while no worker lives; and more of them than anybody wants to remember."""

import uuid

from registry import Found, scenario
from stage import Stage, rss_mb

REVOKED = "celeriac.revoked"
# So many in one message.
AT_ONCE = 2000
# Of what a worker may grow by after it knows as many as it remembers.
GROWTH_MB = 20


@scenario(
    "R18",
    "tasks revoked while all workers are down, and a flood of revocations",
    short={"tasks": 1000, "revokes": 20_000, "most": 2000},
    full={"tasks": 1000, "revokes": 1_000_000, "most": 50_000},
)
def revoked(play):
    size = play.size
    with Stage(play) as stage:
        ours, theirs = (stage.send("proj.logged", [(0,)] * size["tasks"]) for _ in range(2))
        others = stage.send("proj.logged", [(0,)] * 100)
        # 69: nobody was there to answer, and it is kept.
        code = stage.command("control", "-t", "0.2", "revoke", *(stage.ids[number] for number in ours)).ended(60)
        stage.client.control.revoke([stage.ids[number] for number in theirs])
        worker = stage.start(CELERY_WORKER_REVOKES_MAX=str(size["most"]))
        found = Found(settled=stage.rest(), code=code)
        begins, states = stage.oracle.begins(), stage.states()
        found["revoked by celeriac's command, and run"] = sum(number in begins for number in ours)
        found["revoked by Celery's client, and run"] = sum(number in begins for number in theirs)
        found["others without a result"] = sum(states[number] != "SUCCESS" for number in others)
        found["revoked without the state"] = sum(states[number] != "REVOKED" for number in ours)
        flood(stage, worker, found)
        found.fault_if(code != 69, f"the command ended with {code}")
        found.fault_if(found["revoked by celeriac's command, and run"], "tasks ran that had been revoked")
        found.fault_if(found["revoked without the state"], "revoked tasks have another state")
        found.fault_if(found["others without a result"], "tasks did not run that nobody had revoked")
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        return found


def flood(stage, worker, found):
    """Revokes so many ids that no task bears, then some that do."""
    size, draw = stage.play.size, stage.play.draw
    samples = []
    for _ in range(0, size["revokes"], AT_ONCE):
        ids = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(AT_ONCE)]
        # An answer says that the worker knows them.
        assert stage.client.control.revoke(ids, reply=True, timeout=30, limit=1), "the worker did not answer"
        samples.append(rss_mb(worker.pid))
    full = samples[min(2 * size["most"] // AT_ONCE, len(samples) - 1)]
    last = [str(uuid.UUID(int=draw.getrandbits(128), version=4)) for _ in range(100)]
    stage.client.control.revoke(last, reply=True, timeout=30, limit=1)
    first = len(stage.ids)
    stage.ids += last
    for number, id in enumerate(last, first):
        stage.client.send_task("proj.logged", (stage.oracle.port, number, 0), task_id=id, queue="celery")
    stage.rest()
    found["revoked in the flood's end, and run"] = sum(number >= first for number in stage.oracle.begins())
    found["revoked"] = len(samples) * AT_ONCE
    found["ids kept in Redis"] = stage.broker.zcard(REVOKED)
    found["worker's memory when it knew all it keeps, MB"] = round(full, 1)
    found["worker's memory after each tenth of the flood, MB"] = [round(mb, 1) for mb in samples[len(samples) // 10 - 1 :: len(samples) // 10]]
    found["most of its memory, MB"] = round(max(samples), 1)
    found.fault_if(found["revoked in the flood's end, and run"], "the youngest revocations were forgotten")
    found.fault_if(found["ids kept in Redis"] > size["most"], "Redis keeps more than is to be remembered")
    found.fault_if(max(samples) - full > GROWTH_MB, "the worker grows with what is revoked")
