"""Workers of other queues (../peers/queues), each over its own protocol and preloaded by its own client: noop, result, latency."""
import json
import os
import subprocess

import redis

from benchlib import QUEUE, Drain, Stalled, Worker, pct


def run(bench, scenario, spec):
    """As Bench.run: figures of one scenario, or {'skip': 1} where it makes no sense for the queue."""
    if scenario in ('noop', 'result'):
        return drained(bench, spec, store=int(scenario == 'result'))
    if scenario == 'latency':
        bench.rds.flush()
        with Worker(spec, bench.rds, conc=spec.get('conc', 2)):
            xs = json.loads(client(bench, spec, 'latency', 50 if bench.quick else 300))
        return {'p50': round(pct(xs, 50), 3), 'p90': round(pct(xs, 90), 3), 'p99': round(pct(xs, 99), 3), 'n': len(xs)}
    return {'skip': 1}


def drained(bench, spec, store):
    n = 1000 if bench.quick else spec.get('n', 5000)
    waiting, c = spec['peer']['waiting'], bench.rds.c
    marks = redis.Redis(port=bench.rds.port, db=2)           # the last job leaves a mark there
    bench.rds.flush()
    client(bench, spec, 'enqueue', n, store)
    with Worker(spec, bench.rds, conc=spec.get('conc', 2)) as w:
        return Drain(w, n, lambda: (c.llen(waiting), marks.llen('bench:mark') > 0), timeout=90,
                     own_per_poll={'llen': 2}).run()


def client(bench, spec, *args):
    env = dict(os.environ, BENCH_BROKER=bench.rds.broker, BENCH_BACKEND=bench.rds.backend,
               BENCH_PORT=str(bench.rds.port), BENCH_QUEUE=QUEUE)
    p = subprocess.run([*spec['peer']['client'].split(), *map(str, args)], env=env, capture_output=True,
                       cwd=spec['cwd'], timeout=150)
    if p.returncode:
        raise Stalled(p.stderr.decode()[-300:])
    return p.stdout.decode().strip()
