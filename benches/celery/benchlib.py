"""Shared parts of the bench: redis server, process tree meters, messages.

Everything is measured from outside the worker: /proc for CPU and memory,
INFO for redis, queue lengths for progress.  Nothing here knows what language
the worker under test is written in.
"""
import base64
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf('SC_CLK_TCK')
PAGE = os.sysconf('SC_PAGE_SIZE')
QUEUE = 'bench'
# our own commands, taken off the commandstats difference
OWN = {}


# ---------------------------------------------------------------- /proc ----
def _stat(pid):
    with open(f'/proc/{pid}/stat', 'rb') as f:
        s = f.read()
    rest = s[s.rindex(b')') + 2:].split()
    # ppid, utime, stime, cutime, cstime
    return int(rest[1]), int(rest[11]), int(rest[12]), int(rest[13]), int(rest[14])


def tree(roots):
    """pids of the roots and all their descendants"""
    kids = {}
    for d in os.listdir('/proc'):
        if d.isdigit():
            try:
                kids.setdefault(_stat(d)[0], []).append(int(d))
            except (OSError, ValueError):
                pass
    out, todo = [], list(roots)
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out


def cpu(pids):
    """CPU seconds of these pids, reaped children included"""
    t = 0
    for p in pids:
        try:
            _, u, s, cu, cs = _stat(p)
            t += u + s + cu + cs
        except (OSError, ValueError):
            pass
    return t / TICK


def mem(pids):
    """(pss, rss) in MiB, summed"""
    pss = rss = 0
    for p in pids:
        try:
            with open(f'/proc/{p}/smaps_rollup') as f:
                for line in f:
                    if line.startswith('Pss:'):
                        pss += int(line.split()[1])
                    elif line.startswith('Rss:'):
                        rss += int(line.split()[1])
        except (OSError, ValueError):
            pass
    return pss / 1024, rss / 1024


def busy():
    """CPU seconds the whole machine has spent so far"""
    with open('/proc/stat') as f:
        v = [int(x) for x in f.readline().split()[1:]]
    return (sum(v) - v[3] - v[4]) / TICK


def others(port=None, secs=0.4):
    """CPU % used by the rest of the machine, now (100 = one core)"""
    a, t, me = busy(), time.monotonic(), time.process_time()
    time.sleep(secs)
    return (busy() - a - (time.process_time() - me)) / (time.monotonic() - t) * 100


def calm(limit_s, below=40):
    """wait at most limit_s for a quiet machine; returns what the others use"""
    end = time.monotonic() + limit_s
    while True:
        o = others()
        if o < below or time.monotonic() >= end:
            return o
        time.sleep(0.8)


NICE = 0


def group_nice(pid='self'):
    """--nice: what counts under the kernel's autogroup is the session's value"""
    if NICE:
        try:
            with open(f'/proc/{pid}/autogroup', 'w') as f:
                f.write(str(NICE))
        except OSError:
            pass


# ---------------------------------------------------------------- redis ----
class Redis:
    """a private redis-server, no persistence, 127.0.0.1 only"""

    def __init__(self, port):
        self.port = port
        self.proc = None

    def start(self):
        s = socket.socket()
        if s.connect_ex(('127.0.0.1', self.port)) == 0:
            s.close()
            raise SystemExit(f'port {self.port} is taken; choose --port')
        self.proc = subprocess.Popen(
            ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1',
             '--save', '', '--appendonly', 'no', '--loglevel', 'warning',
             '--client-output-buffer-limit', 'pubsub 0 0 0'],
            stdout=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.proc.pid
        group_nice(self.pid)
        self.c = redis.Redis(port=self.port, db=0)
        self.r = redis.Redis(port=self.port, db=1)      # results
        for _ in range(200):
            try:
                self.c.ping()
                break
            except redis.ConnectionError:
                time.sleep(0.02)
        return self

    def stop(self):
        if self.proc:
            self.proc.kill()
            self.proc.wait()

    broker = property(lambda s: f'redis://127.0.0.1:{s.port}/0')
    backend = property(lambda s: f'redis://127.0.0.1:{s.port}/1')

    def flush(self):
        self.c.flushall()

    def stats(self):
        """counters: {'cmd': {name: calls}, 'usec', 'reads', 'in', 'out', 'cpu'}"""
        cs = self.c.info('commandstats')
        st = self.c.info('stats')
        cmd = {k[8:]: v['calls'] for k, v in cs.items()}
        usec = {k[8:]: v['usec'] for k, v in cs.items()}
        return {'cmd': cmd, 'usec': usec,
                'reads': st.get('total_reads_processed', 0),
                'in': st['total_net_input_bytes'],
                'out': st['total_net_output_bytes'],
                'cpu': cpu([self.pid])}

    @staticmethod
    def diff(a, b, own=None):
        own = own or {}
        cmd = {}
        for k, v in b['cmd'].items():
            d = v - a['cmd'].get(k, 0) - own.get(k, 0)
            if d > 0 and not k.startswith('info') and k != 'config|get':
                cmd[k] = d
        return {'cmd': cmd, 'reads': b['reads'] - a['reads'] - own.get('_reads', 0),
                'in': b['in'] - a['in'], 'out': b['out'] - a['out'],
                'cpu': b['cpu'] - a['cpu']}


# -------------------------------------------------------------- messages ----
def message(task, args=(), kwargs=None, ignore=True, eta=None, queue=QUEUE,
            tid=None, prio=0, expires=None):
    """one protocol-2 task message in kombu's redis envelope, as bytes"""
    tid = tid or str(uuid.uuid4())
    body = json.dumps([list(args), kwargs or {},
                       {'callbacks': None, 'errbacks': None, 'chain': None, 'chord': None}])
    rep = repr(tuple(args))
    if len(rep) > 200:
        rep = rep[:200] + '...'
    m = {
        'body': base64.b64encode(body.encode()).decode(),
        'content-encoding': 'utf-8', 'content-type': 'application/json',
        'headers': {
            'lang': 'py', 'task': task, 'id': tid, 'shadow': None, 'eta': eta,
            'expires': expires, 'group': None, 'group_index': None, 'retries': 0,
            'timelimit': [None, None], 'root_id': tid, 'parent_id': None,
            'argsrepr': rep, 'kwargsrepr': '{}', 'origin': 'gen1@bench',
            'ignore_result': ignore, 'replaced_task_nesting': 0,
            'stamped_headers': None, 'stamps': {}},
        'properties': {
            'correlation_id': tid, 'reply_to': str(uuid.uuid4()), 'delivery_mode': 2,
            'delivery_info': {'exchange': '', 'routing_key': queue},
            'priority': prio, 'body_encoding': 'base64',
            'delivery_tag': str(uuid.uuid4())},
    }
    return json.dumps(m).encode(), tid


_PRE = {}


def preload(c, n, task='bench.noop', args=(), ignore=True, queue=QUEUE, eta=None):
    """LPUSH n messages fast: one template, ids patched in"""
    key = (task, json.dumps(args) if len(args) < 8 else id(args), ignore, queue, eta)
    tpl = _PRE.get(key)
    if tpl is None:
        m, tid = message(task, args, ignore=ignore, queue=queue, eta=eta)
        d = json.loads(m)
        tag = d['properties']['delivery_tag']
        tpl = _PRE[key] = (m, tid.encode(), tag.encode())
        while len(_PRE) > 8:
            _PRE.pop(next(iter(_PRE)))
    m, tid, tag = tpl
    big = max(1, min(500, 8_000_000 // len(m)))
    ids, i = [], 0
    while i < n:
        batch = []
        for _ in range(min(big, n - i)):
            new = str(uuid.uuid4()).encode()
            ids.append(new)
            batch.append(m.replace(tid, new).replace(tag, str(uuid.uuid4()).encode()))
            i += 1
        c.lpush(queue, *batch)
    return [x.decode() for x in ids]


# ---------------------------------------------------------------- worker ----
class Worker:
    """one or more copies of the worker command"""

    def __init__(self, spec, rds, conc=2, copies=1, acks_late=False, prefetch=None,
                 eta_limit=0, log=None, queue=QUEUE):
        self.spec, self.rds = spec, rds
        self.procs = []
        self.conc, self.copies = conc, copies
        self.acks_late, self.eta_limit = acks_late, eta_limit
        self.prefetch = prefetch or spec.get('prefetch', 4)
        self.queue = queue
        self.log = log or os.environ.get('BENCH_LOG') or os.path.join(tempfile.gettempdir(), 'bench-worker.log')

    def start(self):
        self.t0 = time.monotonic()
        for n in range(self.copies):
            val = dict(broker=self.rds.broker, backend=self.rds.backend, port=self.rds.port,
                       queue=self.queue, conc=self.conc, prefetch=self.prefetch,
                       acks_late=int(self.acks_late), eta_limit=self.eta_limit, n=n, here=HERE)
            env = dict(os.environ)
            for k, v in val.items():
                env['BENCH_' + k.upper()] = str(v)
            for k, v in self.spec.get('env', {}).items():
                env[k] = str(v).format(**val)
            cmd = [a.format(**val) for a in shlex.split(self.spec['cmd'])]
            self.procs.append(subprocess.Popen(
                cmd, env=env, cwd=self.spec.get('cwd', HERE).format(**val),
                stdin=subprocess.DEVNULL, stdout=open(self.log, 'ab'),
                stderr=subprocess.STDOUT, start_new_session=True))
        self.pids = [p.pid for p in self.procs]
        for p in self.pids:
            group_nice(p)
        return self

    def refresh(self):
        self.pids = tree([p.pid for p in self.procs])
        return self.pids

    def dead(self):
        return [p.returncode for p in self.procs if p.poll() is not None]

    def stop(self):
        pids = self.refresh()
        for p in self.procs:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except OSError:
                pass
        for p in pids:                                   # children in sessions of their own
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        for p in self.procs:
            p.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *a):
        self.stop()


class Stalled(Exception):
    pass


class Drain:
    """Waits for a drained queue and meters the interval first pop .. drained.

    state() returns (left, done); own_per_poll are the redis commands it makes.
    """

    def __init__(self, w, total, state, poll=None, timeout=120, window=None, own_per_poll=None):
        self.w, self.total, self.state = w, total, state
        self.poll = poll or (0.01 if total <= 10_000 else 0.02)
        self.timeout, self.window = timeout, window
        self.opp = own_per_poll or {}

    def run(self):
        w, rds = self.w, self.w.rds
        t_start = prev = time.monotonic()
        own = {}
        first = None
        pss = rss = 0
        nextmem = 0
        curve = []
        while True:
            now = time.monotonic()
            left, done = self.state()
            if first is None and left < self.total:
                # rate counts from the poll before (4 ms ago at most); costs from the snapshot on
                first, nextmem = prev, 0
                w.refresh()
                a, ca = rds.stats(), cpu(w.pids)
                busy0, me0, snap = busy(), time.process_time(), time.monotonic()
                left, done = self.state()
                base_left = left
                now = time.monotonic()
            prev = now
            if first is not None:
                for k, v in self.opp.items():
                    own[k] = own.get(k, 0) + v
                curve.append((now - first, self.total - left))
                if done or (self.window and now - first >= self.window):
                    end = time.monotonic()
                    w.refresh()
                    cb, b = cpu(w.pids), rds.stats()
                    rest = busy() - busy0 - (cb - ca) - (b['cpu'] - a['cpu']) - (time.process_time() - me0)
                    p, r = mem(w.pids)
                    pss, rss = max(pss, p), max(rss, r)
                    break
                if now >= nextmem:
                    w.refresh()
                    p, r = mem(w.pids)
                    pss, rss = max(pss, p), max(rss, r)
                    nextmem = now + 0.4
            if w.dead():
                raise Stalled(f'worker exited: {w.dead()} (see {w.log})')
            if now - t_start > self.timeout:
                raise Stalled(f'timeout: {left} of {self.total} left after {self.timeout} s')
            time.sleep(self.poll if first is not None else 0.004)
        ran = self.total - left                        # tasks taken in all
        paid = base_left - left                        # of those, within the snapshot
        dt, sdt = end - first, end - snap
        own['_reads'] = sum(self.opp.values()) and len(curve) + 1
        own['llen'] = own.get('llen', 0)
        d = Redis.diff(a, b, own)
        # steady part: 10 % .. 90 % of what was taken
        lo, hi = 0.1 * ran, 0.9 * ran
        t1 = next((t for t, n in curve if n >= lo), 0)
        n1 = next((n for t, n in curve if n >= lo), 0)
        t2 = next((t for t, n in curve if n >= hi), dt)
        n2 = next((n for t, n in curve if n >= hi), ran)
        n = max(paid, 1)
        # a worker too fast for this n: costs say nothing
        few = paid < 0.3 * ran or sdt < 0.1
        ncmd = sum(d['cmd'].values())
        out = {
            'n': ran, 'sec': round(dt, 4), 'rate': round(ran / dt, 1),
            'rate_steady': round((n2 - n1) / (t2 - t1), 1) if t2 > t1 else None,
            'startup_s': round(first - w.t0, 3),
            'worker_cpu_s_per_1000': round((cb - ca) / n * 1000, 4),
            'worker_cpu_pct': round((cb - ca) / sdt * 100, 1),
            'redis_cpu_s_per_1000': round(d['cpu'] / n * 1000, 4),
            'redis_cpu_pct': round(d['cpu'] / sdt * 100, 1),
            'cmds_per_task': round(ncmd / n, 2),
            'roundtrips_per_task': round(d['reads'] / n, 2),
            'bytes_in_per_task': round(d['in'] / n), 'bytes_out_per_task': round(d['out'] / n),
            'cmds': {k: round(v / n, 3) for k, v in
                     sorted(d['cmd'].items(), key=lambda x: -x[1]) if v / n >= 0.005},
            'pss_mib': round(pss, 1), 'rss_mib': round(rss, 1),
            'procs': len(w.pids),
            'others_cpu_pct': round(max(0, rest) / sdt * 100, 1),
        }
        if few:
            for k in ('worker_cpu_s_per_1000', 'redis_cpu_s_per_1000', 'cmds_per_task', 'roundtrips_per_task',
                      'bytes_in_per_task', 'bytes_out_per_task', 'cmds'):
                out[k] = None
        return out


def pct(xs, p):
    xs = sorted(xs)
    if not xs:
        return None
    i = min(len(xs) - 1, int(round(p / 100 * (len(xs) - 1))))
    return xs[i]


def median(xs):
    xs = [x for x in xs if x is not None]
    return statistics.median(xs) if xs else None
