"""R25: a worker among messages that nobody should send."""

import json
import time
from dataclasses import dataclass, field

import bulk
from mutants import Mutants, headers_of, task_id
from registry import Found, scenario
from stage import QUEUE, Stage
from vitals import QUIET, memory_mb, slope

# So many mutants lie between two tasks that are well.
BETWEEN = 20
DEAD, PARKED = "celeriac.dead_letters", "celeriac.parked"
# Far above the number of mutants: none is thrown away.
ROOM = {"CELERIAC_DEAD_LETTERS_MAX": "10000000"}
MOST_SLOPE, ENOUGH = 1.0, 500_000
# Longer than any lease here, or visibility timeout.
STUCK_S = 30


@dataclass
class Tally:
    """What has become of the mutants."""

    ends: int = 0
    dead: int = 0
    parked: int = 0
    ran: int = 0
    # Those that stay queued or held for ever.
    stuck: int = 0
    lost: list = field(default_factory=list)
    # Tasks that are well, by their state.
    healthy: dict = field(default_factory=dict)


@scenario(
    "R25",
    "messages that nobody should send, between tasks that are well",
    short={"mutants": 4000, "page": 2000},
    full={"mutants": 1_000_000, "page": 20_000},
)
def fuzzed(play):
    size = play.size
    with Stage(play, environment={**QUIET, **ROOM}) as stage:
        worker, mutants, tally, sizes = stage.start(), Mutants(play.draw), Tally(), []
        for sent in range(0, size["mutants"], size["page"]):
            worker = one_page(stage, worker, [mutants.next() for _ in range(size["page"])], tally)
            sizes.append((sent / 1e5, memory_mb(worker)))
        found = Found(**{"mutants": len(sizes) * size["page"], "dead letters": tally.dead, "waiting for a far ETA": tally.parked})
        found.update({"run or refused, with a result": tally.ran, "lost": len(tally.lost), "of them stuck": tally.stuck, "the worker ended": tally.ends})
        found["tasks that are well, by state"] = tally.healthy
        found["panics in the log"] = worker.output().count("panicked")
        found["RSS, MB, first and last"] = [round(sizes[0][1], 1), round(sizes[-1][1], 1)]
        found["RSS, MB, for 100,000 mutants"] = round(slope(sizes[len(sizes) // 5 :]), 2)
        judge(found, tally)
        return found


def judge(found, tally):
    found.fault_if(tally.lost, f"neither run nor kept, such as {tally.lost[:3]}")
    found.fault_if(tally.ends or found["panics in the log"], "the worker ended or panicked")
    found.fault_if(set(tally.healthy) != {"SUCCESS"}, "tasks that are well did not run")
    found.fault_if(found["mutants"] >= ENOUGH and found["RSS, MB, for 100,000 mutants"] > MOST_SLOPE, "memory leaks")


def one_page(stage, worker, mutants, tally):
    """Sends mutants with tasks that are well between them, and accounts for each of them."""
    healthy = []
    for start in range(0, len(mutants), BETWEEN):
        bulk.push(stage.broker, mutants[start : start + BETWEEN])
        healthy += bulk.send(stage, [("proj.add", (start, 1))])
    while not drained(stage, worker, tally):
        # A supervisor would start it again.
        tally.ends += 1
        assert tally.ends < 100, "the worker ends again and again"
        worker.kill_group()
        worker = stage.start()
    for state, count in bulk.states(stage, healthy).items():
        tally.healthy[state] = tally.healthy.get(state, 0) + count
    account(stage, mutants, tally)
    return worker


def drained(stage, worker, tally):
    """Waits until nothing is queued or held, or the worker has ended; whether it lives. What nobody takes any more is counted and removed."""
    left, since = None, time.monotonic()
    while worker.alive() and (now := (stage.broker.llen(QUEUE), stage.broker.hlen("unacked"))) != (0, 0):
        if now != left:
            left, since = now, time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            tally.stuck += sum(left)
            stage.broker.delete(QUEUE, "unacked", "unacked_index")
        time.sleep(0.05)
    return worker.alive()


def account(stage, mutants, tally):
    """Each mutant is a dead letter, waits for its ETA, or has a result, unless it says that it wants none. The rest was lost."""
    dead, parked = letters(stage.broker), set(map(as_it_lay, bulk.held(stage, PARKED)))
    for mutant in mutants:
        if mutant in dead:
            tally.dead += 1
        elif parked and as_it_lay(mutant) in parked:
            tally.parked += 1
        elif has_result(stage, mutant):
            tally.ran += 1
        else:
            tally.lost.append(mutant)
    # An operator has looked at them.
    stage.broker.delete(DEAD, f"{DEAD}_index", PARKED, f"{PARKED}_index")


def letters(broker):
    """The messages of all dead letters, as they came."""
    found = set()
    for _, text in broker.hscan_iter(DEAD, count=bulk.PAGE):
        letter = json.loads(text)
        whole = letter.get("envelope")
        found.add(whole.encode("utf-8", "surrogatepass") if whole is not None else bulk.base64.b64decode(letter["envelope_base64"]))
    return found


def as_it_lay(text):
    """What two texts of the same message have in common."""
    return json.dumps(json.loads(text) if isinstance(text, (bytes, str)) else text, sort_keys=True)


def has_result(stage, mutant):
    id = task_id(mutant)
    return id is not None and (headers_of(json.loads(mutant)).get("ignore_result") or stage.results.exists(f"celery-task-meta-{id}"))
