"""What the project holds itself to, and whether it was reached: the table of targets."""

from dataclasses import dataclass

OURS = "celeriac"
FIFTY = "celeriac-50"
PREFORK = "celery-prefork"


@dataclass(frozen=True)
class Target:
    """One row: a value of ours, or its ratio to another way's, at least or at most so much."""

    what: str
    part: str
    piece: str
    key: str
    way: str
    aim: float
    # At least the aim, or at most.
    least: bool
    # The ratio's other side; none: the value itself is held to the aim.
    against: str | None = None
    against_piece: str | None = None
    # What must never be missed.
    floor: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Verdict:
    """What was measured of a row."""

    target: Target
    value: float | None
    ours: float | None
    theirs: float | None
    rounds: int
    # `reached`, `above the floor`, `missed`, or why it was not measured.
    verdict: str


def runtime(what, piece, key, aim, *, least, way=OURS, against=PREFORK, floor=None, unit=""):
    return Target(what, "runtime", piece, key, way, aim, least, against, None, floor, unit)


def pages(what, piece, key, way, aim, *, least, against=None, against_piece=None, floor=None, unit=""):
    return Target(what, "documents", piece, key, way, aim, least, against, against_piece, floor, unit)


PER_CPU = "pages_per_cpu_s"
TARGETS = [
    runtime("no-op rate, of prefork's", "noop", "rate", 40, least=True, floor=20, unit="tasks/s"),
    runtime("rate with results stored, of prefork's", "result", "rate", 35, least=True, floor=15, unit="tasks/s"),
    runtime("no-op rate, of BullMQ's", "noop", "rate", 4, least=True, against="bullmq", floor=2, unit="tasks/s"),
    runtime("no-op rate, of dramatiq's", "noop", "rate", 8, least=True, against="dramatiq", floor=4, unit="tasks/s"),
    runtime("no-op rate, 50 at once, of BullMQ's", "noop", "rate", 4, least=True, way=FIFTY, against="bullmq", floor=2, unit="tasks/s"),
    runtime("no-op rate, 50 at once, of dramatiq's (16)", "noop", "rate", 8, least=True, way=FIFTY, against="dramatiq", floor=4, unit="tasks/s"),
    runtime("no-op rate, of limit-lua's", "noop", "rate", 0.7, least=True, against="limit-lua", floor=0.4, unit="tasks/s"),
    runtime("worker's CPU a task, of prefork's", "noop", "worker_cpu_s_per_1000", 0.015, least=False, floor=0.05, unit="s/1,000"),
    runtime("Redis' CPU a task, of prefork's", "noop", "redis_cpu_s_per_1000", 0.12, least=False, floor=0.3, unit="s/1,000"),
    runtime("memory of a no-op worker, of prefork's", "noop", "pss_mib", 0.15, least=False, floor=0.25, unit="MiB"),
    runtime("memory of a no-op worker", "noop", "pss_mib", 12, least=False, against=None, floor=20, unit="MiB"),
    runtime("one task at a time, median, of prefork's", "latency", "p50", 0.15, least=False, floor=0.3, unit="ms"),
    runtime("one task beside 300 tasks/s, 99 %, of prefork's", "latency_fixed", "p99", 0.15, least=False, floor=0.4, unit="ms"),
    runtime("chord of 1,000, drained, of prefork's", "chord", "drain_s", 0.1, least=False, floor=0.3, unit="s"),
    runtime("1,000 tasks behind 20,000 with an ETA, of prefork's", "eta", "served_s", 0.05, least=False, floor=0.2, unit="s"),
    runtime("memory with 20,000 ETAs, of prefork's", "eta", "pss_mib", 0.15, least=False, floor=0.3, unit="MiB"),
    runtime("sleeps of 50 ms in 200 slots, share of the ideal", "io", "share_of_ideal", 0.95, least=True, against=None),
    runtime("payloads of 1 MiB, of prefork's", "payload", "mb_s", 5, least=True, floor=3, unit="MB/s"),
    runtime("exec to first result, of prefork's", "startup", "startup_s", 0.1, least=False, floor=0.3, unit="s"),
    runtime("idle: Redis commands besides lease and heartbeat", "startup", "idle_other_cmds_s", 1, least=False, against=None, unit="/s"),
    *[
        pages(f"{name}: renderer alone, of the floor", name, PER_CPU, "render", 0.95, least=True, against="floor", floor=0.8, unit="pages/CPU-s")
        for name in ("octave", "pgfmanual")
    ],
    *[
        target
        for name in ("octave", "pgfmanual")
        for target in (
            pages(f"{name}: worker, of Celery's, 25 pages a task", name, PER_CPU, "worker", 1.5, least=True, against="celery-batch", floor=1.3, unit="pages/CPU-s"),
            pages(f"{name}: worker, of Celery's, a task a page", name, PER_CPU, "worker", 3, least=True, against="celery-page", floor=2.5, unit="pages/CPU-s"),
            pages(f"{name}: memory of the tree, of Celery's in batches", name, "pss_mib", "worker", 0.4, least=False, against="celery-batch", floor=0.5, unit="MiB"),
        )
    ],
    pages("time to the first page's result, command line", "first", "first_page_s", "process", 0.1, least=False, unit="s"),
    *[
        target
        for way in ("process", "worker")
        for target in (
            pages(f"2,415 pages, {way}: largest process (RSS)", "fullrefman", "rss_mib", way, 200, least=False, unit="MiB"),
            pages(f"2,415 pages, {way}: its last third, of its middle", "fullrefman", "rss_growth", way, 1.1, least=False),
        )
    ],
    pages("CPU a page of orchestration, 10,000 pages, of that of 1,000", "orchestration-large", "cpu_ms_per_page", "worker", 1.2, least=False, against="worker", against_piece="orchestration-medium", unit="ms"),
    pages("Redis commands a page, 10,000 pages, of those of 1,000", "orchestration-large", "redis_commands_per_page", "worker", 1.2, least=False, against="worker", against_piece="orchestration-medium"),
    *[
        Target(f"model of 2 s, 500 pages, 50 slots, {way}: wall, of the ideal", "model", "model", "of_ideal", way, 1.15, False)
        for way in ("process", "worker")
    ],
]


def judge(target, parts):
    """What was measured of this row. `parts` is {name: Part}."""
    part = parts[target.part]
    ours = part.median(target.piece, target.way, target.key)
    other_piece = target.against_piece or target.piece
    theirs = part.median(other_piece, target.against, target.key) if target.against else None
    if target.against:
        value = part.ratio(target.piece, target.key, target.way, target.against, target.against_piece)
        rounds = len(part.by_round(target.piece, target.way, target.key).keys() & part.by_round(other_piece, target.against, target.key).keys())
    else:
        value, rounds = ours, len(part.by_round(target.piece, target.way, target.key))
    return Verdict(target, value, ours, theirs, rounds, verdict(target, value, part, ours))


def verdict(target, value, part, ours):
    if value is None:
        return part.why_not(target.piece, target.way) if ours is None else part.why_not(target.against_piece or target.piece, target.against)
    if met(value, target.aim, target.least):
        return "reached"
    if target.floor is not None and met(value, target.floor, target.least):
        return "above the floor" if target.least else "below the ceiling"
    return "missed"


def met(value, bound, least):
    return value >= bound if least else value <= bound


def judge_all(parts):
    return [judge(target, parts) for target in TARGETS]
