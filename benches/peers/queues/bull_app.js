// node bull_app.js worker | enqueue N STORE | latency N   (BENCH_PORT, BENCH_QUEUE, BENCH_CONC; BENCH_BULLDIR has node_modules)
const path = require('path');
const dir = process.env.BENCH_BULLDIR || path.resolve(__dirname, '../../../target/bench/bullmq');
const { createRequire } = require('module');
const req = createRequire(dir + '/');
const { Queue, Worker } = req('bullmq');
const IORedis = req('ioredis');
const conn = { host: '127.0.0.1', port: +process.env.BENCH_PORT, maxRetriesPerRequest: null };
const q = process.env.BENCH_QUEUE || 'bench';
const mode = process.argv[2];
const R = new IORedis({ ...conn, db: 2 });
if (mode === 'worker') {
  new Worker(q, async job => { if (job.name === 'mark') await R.rpush(job.data.key, 1); return null; },
    { connection: conn, concurrency: +(process.env.BENCH_CONC || 2) });
} else (async () => {
  const queue = new Queue(q, { connection: conn });
  const mark = key => queue.add('mark', { key }, { removeOnComplete: true });
  if (mode === 'enqueue') {
    let n = +process.argv[3] - 1;
    const keep = process.argv[4] === '1';
    while (n > 0) {
      const k = Math.min(500, n); n -= k;
      await queue.addBulk(Array.from({ length: k }, () => ({ name: 'noop', data: {}, opts: { removeOnComplete: !keep } })));
    }
    await mark('bench:mark');
  } else {
    const xs = []; const end = Date.now() + 20000;
    for (let i = 0; i <= +process.argv[3] && Date.now() < end; i++) {
      const t = process.hrtime.bigint();
      await mark('bench:pong');
      await R.blpop('bench:pong', 20);
      if (i) xs.push(Number(process.hrtime.bigint() - t) / 1e6);
      await new Promise(r => setTimeout(r, 2));
    }
    console.log(JSON.stringify(xs));
  }
  process.exit(0);
})();
