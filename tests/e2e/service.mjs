// What a test stands on: a service of its own with a worker in it, and a browser.
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { once } from "node:events";

const ROOT = resolve(import.meta.dirname, "../..");
export const PROGRAM = process.env.CELERIAC_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug/celeriac");
const CHROMIUM = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** Why there can be no test in a browser here; `null`: there can. */
export async function missing() {
  if (!CHROMIUM) return "chromium is not installed (scripts/setup browser)";
  if (!existsSync(PROGRAM)) return `the program is not built: ${PROGRAM}`;
  return import("playwright-core").then(() => null, () => "playwright-core is not installed (scripts/setup browser)");
}

/** What `skip` of a suite is: false, or why. Where CI is set nothing may be missing. */
export async function skipped() {
  const why = await missing();
  if (why && process.env.CI) throw new Error(why);
  if (why) console.log(`skipped: ${why}`);
  return why ?? false;
}

export async function browser() {
  const { chromium } = await import("playwright-core");
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** How many seconds anything may take: a machine that builds beside the tests is slow, and nothing that is there is waited for. */
export const PATIENCE = 300;

/** Asks again until something is there; says what never came. */
export async function until(what, look, seconds = PATIENCE) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await Promise.resolve().then(look).catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`after ${seconds} s still not: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

class Program {
  constructor(command, args, options) {
    this.said = "";
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
    this.ended = once(this.child, "exit");
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (text) => { this.said = (this.said + text).slice(-20000); });
  }

  alive() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async kill(signal = "SIGKILL") {
    if (this.alive()) this.child.kill(signal);
    await this.ended;
  }
}

/** In place of tesseract: pages that are a picture wait while it is held, and fail while it is broken. */
class Reader {
  constructor(folder) {
    this.path = join(folder, "reader");
    this.files = { held: join(folder, "held"), broken: join(folder, "broken") };
    const word = ["5", "1", "1", "1", "1", "1", "0", "0", "9", "9", "90", "read"].join("\\t");
    writeFileSync(this.path, `#!/bin/sh
cat >/dev/null
while [ -e '${this.files.held}' ]; do sleep 0.05; done
if [ -e '${this.files.broken}' ]; then echo 'the reader is broken' >&2; exit 1; fi
printf '${word}\\n'
`);
    chmodSync(this.path, 0o755);
  }

  set(state, on) {
    if (on) writeFileSync(this.files[state], "");
    else rmSync(this.files[state], { force: true });
  }
}

/** `celeriac dev` over a broker of its own, in a folder of its own; `top` and `settings` are lines at the head and the end of its configuration, `env` more variables. */
export class Service {
  constructor({ redis = false, top = "", settings = "", env = {} } = {}) {
    this.top = top;
    this.settings = settings;
    this.env = env;
    this.folder = mkdtempSync(join(tmpdir(), "celeriac-e2e-"));
    mkdirSync(join(this.folder, "in"));
    this.reader = new Reader(this.folder);
    this.redis = redis;
    this.programs = [];
  }

  async start() {
    this.port ??= await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    if (this.redis && !this.redisPort) {
      this.redisPort = await freePort();
      const args = ["--port", String(this.redisPort), "--bind", "127.0.0.1", "--save", "", "--dir", this.folder];
      this.programs.push(new Program("redis-server", args, { cwd: this.folder }));
      await until("Redis listens", () => this.askRedis("PING"));
    }
    const broker = this.redis ? `redis://127.0.0.1:${this.redisPort}/0` : "memory://";
    writeFileSync(join(this.folder, "celery_config.toml"),
      `${this.top}[celeriac.documents]\nallowed_paths = ["${join(this.folder, "in")}"]\ndpi = 40\npage_parallelism = 0\ntesseract = "${this.reader.path}"\n${this.settings}`);
    const env = { ...process.env, CELERY_BROKER_URL: broker, CELERY_RESULT_BACKEND: broker, CELERIAC_STORE: join(this.folder, "store"), ...this.env };
    env.CELERIAC_PDFIUM ??= join(ROOT, "target/pdfium/libpdfium.so");
    this.program = new Program(PROGRAM, ["dev", "--port", String(this.port)], { cwd: this.folder, env });
    await until("the service listens", async () => !this.program.alive() || (await fetch(`${this.url}/readyz`)).ok);
    if (!this.program.alive()) throw new Error(this.program.said);
    return this;
  }

  /** Another program of ours over the same broker. */
  run(...args) {
    const broker = `redis://127.0.0.1:${this.redisPort}/0`;
    const env = { ...process.env, CELERY_BROKER_URL: broker, CELERY_RESULT_BACKEND: broker };
    const program = new Program(PROGRAM, args, { cwd: this.folder, env });
    this.programs.unshift(program);
    return program;
  }

  /** One command to Redis; its answer. */
  async askRedis(command) {
    const socket = connect(this.redisPort, "127.0.0.1");
    socket.write(`${command}\r\nQUIT\r\n`);
    return (await socket.toArray()).join("");
  }

  async stop() {
    await this.program?.kill("SIGTERM");
    for (const program of this.programs) await program.kill("SIGTERM");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Hands in a document by the API, and gives the job's id. */
  async submit(name, bytes, options = {}, about = {}) {
    const path = join(this.folder, "in", name);
    writeFileSync(path, bytes);
    const body = JSON.stringify({ source: { kind: "path", path }, file_name: name, options, ...about });
    const headers = { "Content-Type": "application/json", ...this.headers() };
    const answer = await fetch(`${this.url}/v1/jobs`, { method: "POST", headers, body });
    if (!answer.ok) throw new Error(await answer.text());
    return (await answer.json()).job_id;
  }

  /** What the tests' own calls send. */
  headers() {
    return { "X-Celeriac-Request": "1", ...(this.key && { "X-API-Key": this.key }) };
  }

  async get(path) {
    return (await fetch(this.url + path, { headers: this.headers() })).json();
  }

  async job(id) {
    return this.get(`/v1/jobs/${id}`);
  }

  /** What happened to a job that has ended, after an event: `[kind, data]` each. */
  async told(id, after) {
    const answer = await fetch(`${this.url}/v1/jobs/${id}/events?last_event_id=${after}`, { headers: this.headers() });
    const frames = (await answer.text()).split("\n\n").map((frame) => new Map(frame.split("\n").map((line) => line.split(/: ?(.*)/s))));
    return frames.filter((frame) => frame.has("event")).map((frame) => [frame.get("event"), JSON.parse(frame.get("data"))]);
  }

  async ended(id, seconds = PATIENCE) {
    await until(`job ${id} ends`, async () => ["completed", "partial", "failed", "cancelled"].includes((await this.job(id)).status), seconds);
    return this.job(id);
  }
}
