"""R10: a rolling deploy: one worker after the other is told to stop, and another is started in its place."""

import signal
import time
from bisect import bisect_left

from registry import Found, scenario
from stage import QUEUE, Stage, pause

FLEET = 3
# So many messages wait at any time: no slot is idle for want of work.
WAITING = 100
SECONDS = [0.05, 0.1, 0.15, 0.2]
# Between two looks at them.
PAUSE = 0.05


@scenario(
    "R10",
    "a rolling deploy: of three workers under load one is replaced after the other",
    short={"replaced": 3, "every": 2, "before": 6},
    full={"replaced": 60, "every": 5, "before": 60},
)
def rolling(play):
    size = play.size
    with Stage(play) as stage:
        fleet, left = [stage.start() for _ in range(FLEET)], []
        keep_busy(stage, 1)
        began, terms = stage.oracle.now(), []
        pauses = [keep_busy(stage, size["before"])]
        for _ in range(size["replaced"]):
            terms.append(stage.oracle.now())
            left.append(fleet.pop(0))
            left[-1].signal(signal.SIGTERM)
            fleet.append(stage.start(ready=False))
            pauses.append(keep_busy(stage, size["every"], fleet[-1]))
        terms.append(stage.oracle.now())
        codes = {worker.name: worker.ended(60) for worker in left}
        found = Found(settled=stage.rest(), tasks=len(stage.ids), lost=len(stage.lost()), replaced=len(left))
        found["run again after they had finished"] = len(finished_and_run_again(stage))
        found["cut off and run again"] = cut_off(stage)
        found["ended with another code than 0"] = sum(code != 0 for code in codes.values())
        throughput(stage, began, terms, found)
        found[f"longest of the harness's own pauses of {PAUSE} s"] = round(max(pauses), 2)
        found.fault_if(not found["settled"], "messages are left that nobody takes")
        found.fault_if(found["lost"], f"tasks {stage.lost()[:10]} were lost")
        found.fault_if(found["run again after they had finished"], f"tasks {finished_and_run_again(stage)[:10]} ran again")
        found.fault_if(found["ended with another code than 0"], f"workers ended with {codes}")
        found.fault_if(found["dip, p50, %"] >= 40, "the throughput sinks too far with each replacement")
        return found


def keep_busy(stage, seconds, worker=None):
    """Keeps messages waiting for so long, and until the worker is ready; how long the longest pause was that the machine made of a short one."""
    draw, end, longest = stage.play.draw, time.monotonic() + seconds, 0.0
    while time.monotonic() < end or not (worker is None or (worker.check() and " ready." in worker.output())):
        missing = WAITING - stage.broker.llen(QUEUE)
        stage.send("proj.logged", [(draw.choice(SECONDS),) for _ in range(missing)])
        before = time.monotonic()
        pause(PAUSE)
        longest = max(longest, time.monotonic() - before)
    return longest


def finished_and_run_again(stage):
    ended, again = set(), []
    for entry in stage.oracle.entries():
        if entry.what == "ended":
            ended.add(entry.number)
        elif entry.number in ended:
            again.append(entry.number)
    return again


def cut_off(stage):
    """Runs that were begun and came to no end of their own."""
    entries = stage.oracle.entries()
    return sum(entry.what == "begun" for entry in entries) - sum(entry.what == "ended" for entry in entries)


def throughput(stage, began, terms, found):
    """Tasks a second before and during the deploys, and how far below that the worst second after each TERM was.

    On a machine that others use, some seconds are bad without a deploy, too: what a deploy costs is seen in most of the replacements.
    """
    ends, every = [entry.at for entry in stage.oracle.entries() if entry.what == "ended"], stage.play.size["every"]
    rate = lambda start, end: (bisect_left(ends, end) - bisect_left(ends, start)) / (end - start)  # noqa: E731
    worst = lambda start, end: min(rate(start + n / 4, start + n / 4 + 1) for n in range(int(4 * (end - start - 1)) + 1))  # noqa: E731
    before = rate(began, terms[0])
    found["tasks a second, before"] = round(before, 1)
    found["tasks a second, meanwhile"] = round(rate(terms[0], terms[-1]), 1)
    spans = [(began + n * every, began + (n + 1) * every) for n in range(int((terms[0] - began) / every))]
    for name, among in (("dip without a replacement", spans), ("dip", list(zip(terms, terms[1:])))):
        dips = sorted(round(100 * (1 - worst(*span) / before)) for span in among)
        found[f"{name}, p50, %"], found[f"{name}, max, %"] = dips[len(dips) // 2], dips[-1]
