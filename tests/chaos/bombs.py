"""R26: messages that are small in the queue and huge once unpacked or parsed. (Those in documents belong to the document tasks' own tests.)"""

import bz2
import lzma
import threading
import time
import zlib

import bulk
from backports import zstd
from registry import Found, scenario
from stage import Stage, pause, spread, wait_until
from vitals import QUIET, peak_mb, reset_peak

CODECS = {"application/x-gzip": zlib, "application/x-bz2": bz2, "application/x-lzma": lzma, "application/zstd": zstd}
# What may be unpacked at most (`celeriac.max_body_bytes`); so much a worker may grow, and by a tenth and what a codec has for itself.
CAP_MB = 64
MOST_MB = CAP_MB * 1.048576 * 1.1 + 32
REFUSED_S, PATIENCE_S = 1, 20
# So many come at once: more than the worker has threads here.
BURST = 3
# By how much a task that runs may be held up by them, at p99.
HELD_UP_MS = 250
# A byte of JSON can be a value, and a value takes up to a hundred bytes: it is their number that is bounded (docs/security.md), and high.
VALUES, VALUES_MB, VALUES_S = "many values", 4.2 * 100 + 32, 10
DEAD = "celeriac.dead_letters"
# A neighbour begins so often, and takes so long.
EVERY_S, TAKES_S = 0.02, 0.01


def packed(codec, megabytes):
    """So many zeros, packed piece by piece."""
    module, piece = CODECS[codec], bytes(1 << 20)
    if module is zlib:
        packer = zlib.compressobj(9)
    elif module is bz2:
        packer = bz2.BZ2Compressor()
    else:
        packer = module.LZMACompressor() if module is lzma else module.ZstdCompressor()
    return b"".join([*(packer.compress(piece) for _ in range(megabytes)), packer.flush()])


def bombs(megabytes):
    """Messages by the name of what is wrong with them, which is their id too."""
    deep = megabytes << 10
    bodies = {
        "lists in each other": b"[" * deep + b"]" * deep,
        "objects in each other": b'[[], {"a":' * deep + b"1" + b"}]" * deep,
        "many digits": b"[[" + b"9" * (megabytes << 14) + b"],{},{}]",
        "a deep envelope": b"[]",
        VALUES: b"[[" + b"0," * (8 << 20) + b"0],{},{}]",
    }
    found = {name: bulk.message(name, "proj.echo", data) for name, data in bodies.items()}
    found["a deep envelope"] = found["a deep envelope"].replace('"retries": 0', '"retries": ' + "[" * deep + "]" * deep)
    packs = {codec: bulk.message(codec, "proj.echo", packed(codec, megabytes), compression=codec) for codec in CODECS}
    return {**packs, **found}


@scenario(
    "R26",
    "messages that are huge once unpacked or parsed",
    short={"megabytes": 96, "rounds": 1, "seconds": 4},
    full={"megabytes": 1024, "rounds": 5, "seconds": 60},
)
def bombed(play):
    size = play.size
    with Stage(play, environment={**QUIET, "CELERIAC_MAX_BODY_BYTES": str(CAP_MB << 20)}) as stage:
        worker, sent = stage.start(), bombs(size["megabytes"])
        alone = Neighbours(stage)
        with alone:
            pause(size["seconds"])
        before, refused, peaks, beside = peak_of(worker), {}, {}, Neighbours(stage)
        with beside:
            for name, bomb in [bomb for bomb in sent.items() for _ in range(size["rounds"])]:
                reset_peak(worker)
                refused.setdefault(name, []).append(blown(stage, name, [bomb], worker))
                peaks[name] = max(peaks.get(name, 0), round(peak_mb(worker) - before, 1) if worker.alive() else 0)
                if name in CODECS:
                    # Those that cost their sender nothing.
                    blown(stage, name, [bomb] * BURST, worker)
        found = Found(**{"bombs": len(sent), "of megabytes": size["megabytes"]})
        found["refused after, s"] = {name: None if None in times else max(times) for name, times in refused.items()}
        found["RSS grows by, MB"] = peaks
        for name, neighbours in (("alone", alone), ("beside", beside)):
            found[f"neighbours {name} wait, ms"], found[f"neighbours {name} run, ms"] = neighbours.milliseconds()
        found["lost neighbours"], found["the worker lives"] = len(stage.lost()), worker.alive()
        judge(found)
        return found


def judge(found):
    late = [
        name
        for name, seconds in found["refused after, s"].items()
        if seconds is None or seconds >= (VALUES_S if name == VALUES else REFUSED_S)
    ]
    large = [name for name, grown in found["RSS grows by, MB"].items() if grown > (VALUES_MB if name == VALUES else MOST_MB)]
    found.fault_if(late, f"refused too late: {late}")
    found.fault_if(large, f"unpacked beyond what is allowed: {large}")
    held_up = found["neighbours beside run, ms"]["p99"] - found["neighbours alone run, ms"]["p99"]
    found.fault_if(held_up > HELD_UP_MS, f"tasks that run are held up by {held_up:.0f} ms")
    found.fault_if(found["lost neighbours"] or not found["the worker lives"], "the neighbours or the worker died of it")


class Neighbours(threading.Thread):
    """Sends short tasks at an even pace while it is open, and says how long each has waited for its begin."""

    def __init__(self, stage):
        super().__init__(daemon=True)
        self._stage, self._ending, self._sent = stage, threading.Event(), {}

    def run(self):
        stage = self._stage
        while not self._ending.wait(EVERY_S):
            at = stage.oracle.now()
            (number,) = bulk.send(stage, [("proj.logged", (stage.oracle.port, len(stage.ids), TAKES_S))])
            self._sent[number] = at

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self.join()
        self._stage.rest(60)

    def milliseconds(self):
        """How long they waited for their begin, and how long they ran."""
        at = {(entry.what, entry.number): entry.at for entry in self._stage.oracle.entries()}
        ran = [number for number in self._sent if ("ended", number) in at]
        wait = spread([1000 * (at["begun", number] - self._sent[number]) for number in ran])
        return wait, spread([1000 * (at["ended", number] - at["begun", number]) for number in ran])


def peak_of(worker):
    reset_peak(worker)
    return peak_mb(worker)


def blown(stage, id, bombs, worker):
    """Sends bombs of one kind; after how many seconds all were refused. None: they were not, within PATIENCE_S."""
    dead, began = stage.broker.hlen(DEAD), time.monotonic()
    bulk.push(stage.broker, bombs)

    def over():
        # A Python worker keeps no dead letters: there it is only gone.
        gone = stage.play.worker == "python" and not stage.broker.llen("celery") and not stage.broker.hexists("unacked", id)
        return not worker.alive() or stage.broker.hlen(DEAD) >= dead + len(bombs) or gone

    try:
        wait_until(over, PATIENCE_S, "the bombs are refused", poll=0.005)
    except AssertionError:
        return None
    return round(time.monotonic() - began, 3)
