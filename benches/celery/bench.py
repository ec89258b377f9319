#!/usr/bin/env python3
"""Measures any worker that speaks Celery's protocol over redis, from outside.

  bench.py --workers celery-prefork,limit-step --scenarios noop,result --repeat 3
  bench.py --cmd 'mine=/path/worker --broker {broker} --queue {queue} -c {conc}' ...

Workers are named in workers.json.  Placeholders of a command, each also an
environment variable BENCH_<NAME>: {broker} {backend} {port} {queue} {conc}
{prefetch} {acks_late} {eta_limit} {n} {here}.
"""
import argparse
import json
import multiprocessing as mp
import os
import signal
import socket
import sys
import time
from datetime import datetime, timedelta, timezone

import benchlib as L
from benchlib import Drain, Redis, Stalled, Worker, median, message, pct, preload

HERE = L.HERE
# Where the workers of workers.json are: the tests' environment, what scripts/bench sets up, and the builds of ../peers.
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.path.abspath(os.environ.get('CARGO_TARGET_DIR', os.path.join(ROOT, 'target')))
PATHS = {
    'CEL': os.environ.get('BENCH_CEL', os.path.join(ROOT, '.venv/bin')),
    'PEERS': os.environ.get('BENCH_PEERS', os.path.join(TARGET, 'bench/peers/bin')),
    'QUEUES': os.path.join(ROOT, 'benches/peers/queues'),
    'CELERIAC': os.environ.get('BENCH_CELERIAC', os.path.join(TARGET, 'release/examples/bench_worker')),
    'RUSTY': os.environ.get('BENCH_RUSTY', os.path.join(TARGET, 'bench/release/rusty-celery-peer')),
    'LIMIT': os.environ.get('BENCH_LIMIT', os.path.join(TARGET, 'bench/release/bench-limit')),
}


def load_workers():
    text = open(os.path.join(HERE, 'workers.json')).read()
    for k, v in PATHS.items():
        text = text.replace('{' + k + '}', v)
    return json.loads(text)


# scenario -> metrics worth a line: (key, better)
METRICS = {
    'noop': [('rate', 'hi'), ('worker_cpu_s_per_1000', 'lo'), ('redis_cpu_s_per_1000', 'lo'),
             ('cmds_per_task', 'lo'), ('roundtrips_per_task', 'lo'), ('pss_mib', 'lo')],
    'latency': [('p50', 'lo'), ('p99', 'lo')],
    'latency_fixed': [('p50', 'lo'), ('p99', 'lo')],
    'latency_load': [('p50', 'lo'), ('p99', 'lo'), ('load_rate', 'hi')],
    'chord': [('drain_s', 'lo'), ('live_s', 'lo'), ('ordered', 'hi')],
    'chords20': [('drain_s', 'lo'), ('rate', 'hi'), ('cmds_per_task', 'lo')],
    'eta': [('served_s', 'lo'), ('served', 'hi'), ('pss_mib', 'lo'), ('in_memory', 'lo')],
    'startup': [('startup_s', 'lo'), ('idle_cpu_pct', 'lo'), ('idle_cmds_s', 'lo'), ('idle_other_cmds_s', 'lo'), ('pss_mib', 'lo')],
    'io': [('rate', 'hi'), ('share_of_ideal', 'hi'), ('pss_mib', 'lo'), ('worker_cpu_s_per_1000', 'lo')],
    'payload': [('mb_s', 'hi'), ('pss_mib', 'lo'), ('worker_cpu_s_per_mb', 'lo')],
    'scale': [('rate', 'hi'), ('pss_mib', 'lo')],
}
for k in ('result', 'late', 'result_late'):
    METRICS[k] = METRICS['noop']
METRICS['eta_limit'] = METRICS['eta']
METRICS['payload_result'] = METRICS['payload']
SCALE = [f'scale{c}x{d}' for c in (1, 2) for d in ('1k', '10k', '100k')]
for k in SCALE:
    METRICS[k] = METRICS['scale']
ALL = ['noop', 'result', 'late', 'result_late', 'latency', 'latency_fixed', 'latency_load', 'chord',
       'chords20', 'eta', 'eta_limit', 'startup', 'io', 'payload', 'payload_result', *SCALE]


class Bench:
    def __init__(self, rds, n=20000, quick=False, verbose=True, calm=0, pause=0):
        self.rds, self.n, self.quick = rds, n, quick
        self.capacity = {}
        self.verbose = verbose
        self.calm, self.pause = calm, pause

    # -- helpers ------------------------------------------------------------
    def worker(self, spec, **kw):
        kw.setdefault('conc', spec.get('conc', 2))
        return Worker(spec, self.rds, **kw)

    def state(self, results, spec):
        """left/done by queue length, unacked and number of stored results"""
        c, r = self.rds.c, self.rds.r

        def f():
            p = c.pipeline(transaction=False)
            p.llen(L.QUEUE)
            p.hlen('unacked')
            q, un = p.execute()
            return q, q == 0 and un == 0 and (r.dbsize() >= results or bool(spec.get('stores_nothing')))
        return f

    def drained(self, spec, n, task='bench.noop', args=(), ignore=True, timeout=120, window=None, **kw):
        self.rds.flush()
        preload(self.rds.c, n - 1, task, args, ignore)
        m, _ = message(task, args, ignore=False)               # the last one tells the end
        self.rds.c.lpush(L.QUEUE, m)
        with self.worker(spec, **kw) as w:
            return Drain(w, n, self.state(1 if ignore else n, spec), timeout=timeout, window=window,
                         own_per_poll={'llen': 1, 'hlen': 1, 'dbsize': 0.01}).run()

    # -- scenarios ----------------------------------------------------------
    def throughput(self, spec, **kw):
        n = self.n if self.quick else spec.get('n', self.n)
        while True:
            d = self.drained(spec, n, **kw)
            if d['sec'] > 1.2 or n >= 200_000 or self.quick:
                return d
            n *= 5

    def noop(self, name, spec):
        d = self.throughput(spec)
        self.capacity[name] = d['rate']
        return d

    def result(self, name, spec):
        return self.throughput(spec, ignore=False)

    def late(self, name, spec):
        return self.throughput(spec, acks_late=True)

    def result_late(self, name, spec):
        return self.throughput(spec, ignore=False, acks_late=True)

    def _latency(self, spec, n, rate=0, pause=0.002, conc=None):
        n = 50 if self.quick else n
        self.rds.flush()
        with self.worker(spec) as w:
            self.ready(w)
            load = None
            if rate:
                load = mp.Process(target=feed, args=(self.rds.port, rate, 120), daemon=True)
                load.start()
                time.sleep(1.0)
            try:
                xs = latency(self.rds.port, n, pause, limit_s=20)
            finally:
                if load:
                    load.kill()
                    load.join()
            left = self.rds.c.llen(L.QUEUE)
        return {'p50': round(pct(xs, 50), 3), 'p90': round(pct(xs, 90), 3), 'p99': round(pct(xs, 99), 3),
                'max': round(max(xs), 3), 'n': len(xs), 'load_rate': rate, 'backlog': left}

    def latency(self, name, spec):
        return self._latency(spec, 500)

    def latency_fixed(self, name, spec):
        return self._latency(spec, 500, rate=300)

    def latency_load(self, name, spec):
        if name not in self.capacity:
            self.capacity[name] = self.throughput(spec)['rate']
        # one Python feeder reaches about 30,000/s
        return self._latency(spec, 500, rate=int(min(self.capacity[name] / 2, 20_000)))

    def ready(self, w, timeout=60):
        """worker is up once it has done one task"""
        m, tid = message('bench.noop', ignore=False)
        base = self.rds.r.dbsize()
        self.rds.c.lpush(L.QUEUE, m)
        t = time.monotonic()
        while not self.rds.r.exists('celery-task-meta-' + tid):
            if w.dead() or time.monotonic() - t > timeout:
                raise Stalled(f'worker not ready, see {w.log}')
            time.sleep(0.005)
        return time.monotonic() - w.t0

    def app(self):
        os.environ.update(BENCH_BROKER=self.rds.broker, BENCH_BACKEND=self.rds.backend, BENCH_QUEUE=L.QUEUE)
        import bench_app
        return bench_app

    def chord(self, name, spec):
        from celery import chord
        size = 100 if self.quick else 1000
        b = self.app()
        out = {}
        # preloaded: worker's own time
        self.rds.flush()
        body = chord([b.echo.s(i) for i in range(size)])(b.echo.s())
        key = 'celery-task-meta-' + body.id
        with self.worker(spec) as w:
            c = self.rds.c

            def st():
                return c.llen(L.QUEUE), bool(self.rds.r.exists(key))
            d = Drain(w, size, st, own_per_poll={'llen': 1, 'exists': 1}, poll=0.005, timeout=90).run()
            res = body.get(timeout=5)
            out.update(drain_s=d['sec'], ordered=int(res == list(range(size))),
                       cmds_per_task=d['cmds_per_task'], roundtrips_per_task=d['roundtrips_per_task'],
                       cmds=d['cmds'], worker_cpu_s_per_1000=d['worker_cpu_s_per_1000'])
            # live: the client publishes to a waiting worker
            t = time.monotonic()
            body = chord([b.echo.s(i) for i in range(size)])(b.echo.s())
            pub = time.monotonic() - t
            res = body.get(timeout=60, interval=0.005)
            out.update(live_s=round(time.monotonic() - t, 3), publish_s=round(pub, 3),
                       ordered=int(out['ordered'] and res == list(range(size))))
        b.app.close()
        return out

    def chords20(self, name, spec, chords=20, size=100):
        from celery import chord
        b = self.app()
        self.rds.flush()
        bodies = [chord([b.add.s(i, k) for i in range(size)])(b.echo.s()) for k in range(chords)]
        keys = ['celery-task-meta-' + x.id for x in bodies]
        with self.worker(spec) as w:
            d = Drain(w, chords * size, lambda: (self.rds.c.llen(L.QUEUE), self.rds.r.exists(*keys) == chords),
                      own_per_poll={'llen': 1, 'exists': 1}, poll=0.005, timeout=90).run()
            ok = all(x.get(timeout=5) == [i + k for i in range(size)] for k, x in enumerate(bodies))
        b.app.close()
        return {'drain_s': d['sec'], 'ordered': int(ok), 'rate': round(chords * size / d['sec'], 1),
                'cmds_per_task': d['cmds_per_task'], 'cmds': d['cmds']}

    def _eta(self, spec, limit, timeout=60):
        n, now = (2000, 100) if self.quick else (20000, 1000)
        self.rds.flush()
        eta = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
        preload(self.rds.c, n, eta=eta)
        preload(self.rds.c, now, ignore=False)
        timeout = 20 if limit else timeout
        with self.worker(spec, eta_limit=limit) as w:
            t0 = time.monotonic()
            first = None
            while True:
                got = self.rds.r.dbsize()
                if first is None and self.rds.c.llen(L.QUEUE) < n + now:
                    first = time.monotonic()
                if got >= now or time.monotonic() - t0 > timeout:
                    break
                if w.dead():
                    raise Stalled('worker exited')
                time.sleep(0.02)
            t = time.monotonic()
            time.sleep(0.5)
            w.refresh()
            pss, rss = L.mem(w.pids)
            c0 = L.cpu(w.pids)
            time.sleep(3)
            c1 = L.cpu(w.pids)
            p = self.rds.c.pipeline(transaction=False)
            p.llen(L.QUEUE)
            p.hlen('unacked')
            q, un = p.execute()
            return {'served_s': round(t - (first or t0), 3), 'served': got, 'in_memory': un, 'left_in_queue': q,
                    'pss_mib': round(pss, 1), 'rss_mib': round(rss, 1),
                    'idle_cpu_pct': round((c1 - c0) / 3 * 100, 2)}

    def eta(self, name, spec):
        return self._eta(spec, 0)

    def eta_limit(self, name, spec):
        return self._eta(spec, 1000)

    def startup(self, name, spec, idle=8):
        idle = 3 if self.quick else idle
        self.rds.flush()
        with self.worker(spec) as w:
            s = self.ready(w)
            time.sleep(2.5)
            w.refresh()
            a, ca, t = self.rds.stats(), L.cpu(w.pids), time.monotonic()
            time.sleep(idle)
            b, cb, dt = self.rds.stats(), L.cpu(w.pids), time.monotonic() - t
            d = Redis.diff(a, b)
            pss, rss = L.mem(w.pids)
            other = idle_commands(self.rds.port, idle)
            return {'startup_s': round(s, 3), 'idle_cpu_pct': round((cb - ca) / dt * 100, 3),
                    'idle_cmds_s': round(sum(d['cmd'].values()) / dt, 2), 'cmds': d['cmd'],
                    'idle_other_cmds_s': round(sum(other.values()) / idle, 2), 'other_cmds': other,
                    'pss_mib': round(pss, 1), 'rss_mib': round(rss, 1), 'procs': len(w.pids)}

    def io(self, name, spec):
        conc = spec.get('conc_io', 200)
        n = conc * 20 if self.quick or conc >= 100 else conc * 20 * 4
        d = self.drained(spec, n, 'bench.sleep', (50,), conc=conc, prefetch=4)
        d['conc'] = conc
        d['ideal'] = conc * 20
        d['share_of_ideal'] = round(d['rate'] / d['ideal'], 4)
        return d

    def payload(self, name, spec, ignore=True):
        n = 40 if self.quick else 200
        arg = PAGE_IMAGE()
        d = self.drained(spec, n, 'bench.echo', (arg,), ignore=ignore, prefetch=4)
        mb = len(arg) / 1e6
        d['mb_s'] = round(d['rate'] * mb, 1)
        if d['worker_cpu_s_per_1000'] is not None:
            d['worker_cpu_s_per_mb'] = round(d['worker_cpu_s_per_1000'] / 1000 / mb, 5)
        return d

    def payload_result(self, name, spec):
        return self.payload(name, spec, ignore=False)

    def scale(self, name, spec, copies, depth):
        return self.drained(spec, depth, copies=copies, window=6)

    def run(self, scenario, name, spec):
        L._PRE.clear()
        if scenario in spec.get('skip', []):
            return {'skip': 1}
        if spec.get('peer'):
            import peers
            return peers.run(self, scenario, spec)
        if scenario in SCALE:
            c, d = scenario[5:].split('x')
            return self.scale(name, spec, int(c), int(d[:-1]) * 1000)
        return getattr(self, scenario)(name, spec)


_IMG = []


def PAGE_IMAGE():
    if not _IMG:
        import base64
        import random
        _IMG.append(base64.b64encode(random.Random(1).randbytes(786_432)).decode())   # 1 MiB of base64
    return _IMG[0]


# ------------------------------------------------------- raw redis sockets --
def enc(*args):
    out = [b'*%d\r\n' % len(args)]
    for a in args:
        a = a if isinstance(a, bytes) else str(a).encode()
        out.append(b'$%d\r\n%s\r\n' % (len(a), a))
    return b''.join(out)


def conn(port):
    s = socket.create_connection(('127.0.0.1', port))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def idle_commands(port, secs):
    """What clients send within so many seconds, by command, besides heartbeats and the care of leases (MONITOR)"""
    s = conn(port)
    s.sendall(enc('MONITOR'))
    s.settimeout(0.2)
    end, data = time.monotonic() + secs, b''
    while time.monotonic() < end:
        try:
            data += s.recv(1 << 16)
        except TimeoutError:
            pass
    s.close()
    return commands_besides_care(data)


def commands_besides_care(monitored):
    """Commands of MONITOR's lines by name, without those of scripts, heartbeats, and what looks after leases"""
    seen = {}
    for line in monitored.split(b'\r\n'):
        at, words = line.split(b'] ', 1) if b'] "' in line else (b'', b'')
        if not words or at.endswith(b' lua') or b'worker.heartbeat' in words or b'"unacked_index"' in words:
            continue
        name = words.split(b'"')[1].decode().lower()
        seen[name] = seen.get(name, 0) + 1
    return seen


def latency(port, n, pause, limit_s=30):
    """ms from LPUSH of one task to its result being published"""
    a, b = conn(port), conn(port)
    b.sendall(enc('PSUBSCRIBE', 'celery-task-meta-*'))
    b.recv(4096)
    b.settimeout(10)
    msgs = [message('bench.noop', ignore=False) for _ in range(n)]
    xs = []
    end = time.monotonic() + limit_s
    for m, tid in msgs:
        wire, tid = enc('LPUSH', L.QUEUE, m), tid.encode()
        t = time.perf_counter()
        a.sendall(wire)
        buf = b''
        while tid not in buf:
            buf = buf[-64:] + b.recv(65536)
        xs.append((time.perf_counter() - t) * 1000)
        time.sleep(0.0005)
        try:
            b.setblocking(False)
            while b.recv(65536):
                pass
        except BlockingIOError:
            pass
        b.settimeout(10)
        a.recv(4096)
        time.sleep(pause)
        if time.monotonic() > end:
            break
    return xs


def feed(port, rate, secs):
    """open-loop load: noop tasks at a steady rate"""
    s = conn(port)
    tick = max(0.002, 1 / rate)
    msgs = [enc('LPUSH', L.QUEUE, message('bench.noop')[0]) for _ in range(4000)]
    i, sent = 0, 0
    t0 = time.monotonic()
    while time.monotonic() - t0 < secs:
        want = int((time.monotonic() - t0) * rate)
        k = min(want - sent, 1000)
        if k > 0:
            j = i + k
            batch = msgs[i:j] if j <= 4000 else msgs[i:] + msgs[:j - 4000]
            i = j % 4000
            s.sendall(b''.join(batch))
            sent += k
            got = 0
            while got < k:
                got += s.recv(65536).count(b':')
        time.sleep(tick)


# -------------------------------------------------------------------- main --
def merge(runs):
    """median of each number over the repeats; of those the calmer half, where that is known"""
    ok = [r for r in runs if 'error' not in r]
    if len(ok) > 2 and all(r.get('others_cpu_pct') is not None for r in ok):
        ok = sorted(ok, key=lambda r: r['others_cpu_pct'])[:(len(ok) + 1) // 2]
    if not ok:
        return runs[-1] if runs else {}
    out = {}
    for k, v in ok[0].items():
        if isinstance(v, (int, float)) and not isinstance(v, bool):
            out[k] = median([r.get(k) for r in ok if isinstance(r.get(k), (int, float))])
        else:
            out[k] = v
    out['runs'] = len(ok)
    return out


def table(results, base='celery-prefork'):
    """Markdown: one table per scenario, ratio against the base in brackets"""
    out = []
    for sc in ALL:
        rows = {w: merge(rs[sc]) for w, rs in results.items() if sc in rs}
        rows = {w: r for w, r in rows.items() if r and not r.get('skip')}
        if not rows:
            continue
        ms = METRICS[sc]
        out += [f'### {sc}', '', '| worker | ' + ' | '.join(m for m, _ in ms) + ' |',
                '|---|' + '---:|' * len(ms)]
        b = rows.get(base, {})
        for w, r in rows.items():
            if 'error' in r:
                out.append(f'| {w} | {r["error"]} |' + ' |' * (len(ms) - 1))
                continue
            cells = []
            for k, _ in ms:
                v = r.get(k)
                if v is None:
                    cells.append('–')
                    continue
                t = f'{v:,.0f}' if abs(v) >= 1000 else f'{v:.4g}'
                if w != base and isinstance(b.get(k), (int, float)) and b[k]:
                    t += f' ({v / b[k]:.2f}x)'
                cells.append(t)
            out.append(f'| {w} | ' + ' | '.join(cells) + ' |')
        out.append('')
    return '\n'.join(out)


def go(bench, names, specs, scenarios, repeat, results, out=None):
    for k in range(repeat):
        for sc in scenarios:
            for w in names:
                time.sleep(bench.pause)
                bench.calm and L.calm(bench.calm)
                t = time.monotonic()
                try:
                    r = bench.run(sc, w, specs[w])
                except (Stalled, OSError, AssertionError, Exception) as e:   # a worker may fail one scenario
                    r = {'error': f'{type(e).__name__}: {e}'[:200]}
                r.setdefault('others_cpu_pct', None)
                r['load1'] = os.getloadavg()[0]
                results.setdefault(w, {}).setdefault(sc, []).append(r)
                if bench.verbose and not r.get('skip'):
                    show = {m: r.get(m) for m, _ in METRICS[sc]} if 'error' not in r else r
                    print(f'[{k + 1}/{repeat}] {sc:14} {w:16} {time.monotonic() - t:5.1f}s {show}',
                          file=sys.stderr, flush=True)
                if out:
                    with open(out + '.tmp', 'w') as f:
                        json.dump(results, f, indent=1)
                    os.replace(out + '.tmp', out)
    return results


def args_common(ap):
    ap.add_argument('--port', type=int, default=6404)
    ap.add_argument('--n', type=int, default=20000, help='messages for the throughput scenarios')
    ap.add_argument('--scenarios', default='noop,result,late,latency,chord,eta,startup,io,payload',
                    help='of ' + ','.join(ALL) + ', or all')
    ap.add_argument('--repeat', type=int, default=1)
    ap.add_argument('--quick', action='store_true', help='no growing of n for fast workers')
    ap.add_argument('--calm', type=float, default=0, metavar='S',
                    help='before each run wait up to S seconds for the other jobs of the machine to be quiet')
    ap.add_argument('--nice', type=int, default=0, help='session priority of harness, redis and worker (root)')
    ap.add_argument('--pause', type=float, default=0, metavar='S', help='rest before each run')
    ap.add_argument('--out', help='JSON file')
    ap.add_argument('--cmd', action='append', default=[], metavar='NAME=COMMAND',
                    help='a worker that is not in workers.json')
    ap.add_argument('--env', action='append', default=[], metavar='NAME:KEY=VALUE')


def specs_of(a):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))      # so that workers and redis end too
    L.NICE = a.nice
    L.group_nice()
    specs = load_workers()
    for c in a.cmd:
        k, v = c.split('=', 1)
        specs[k] = {'cmd': v}
    for e in a.env:
        k, kv = e.split(':', 1)
        key, v = kv.split('=', 1)
        specs[k].setdefault('env', {})[key] = v
    return specs


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--workers', default='celery-prefork')
    ap.add_argument('--append', action='store_true', help='add to the JSON file')
    ap.add_argument('--table', metavar='JSON', help='print the table of a result file and stop')
    ap.add_argument('--base', default='celery-prefork')
    args_common(ap)
    a = ap.parse_args()
    if a.table:
        print(table(json.load(open(a.table)), a.base))
        return
    specs = specs_of(a)
    names = a.workers.split(',')
    scs = ALL if a.scenarios == 'all' else a.scenarios.split(',')
    results = json.load(open(a.out)) if a.append and a.out and os.path.exists(a.out) else {}
    rds = Redis(a.port).start()
    try:
        go(Bench(rds, a.n, a.quick, calm=a.calm, pause=a.pause), names, specs, scs, a.repeat, results, a.out)
    finally:
        rds.stop()
    print(table(results, a.base))


if __name__ == '__main__':
    main()
