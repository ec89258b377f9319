// Keeps the pages live. The server draws everything; this brings what changed, and asks the API for what is pressed.
import { NAMES, call, changes, estimateText, move, next, numbers, pagesOf, price, readable, rowState, size, spell, tally } from "./states.js";

const { base, api, events } = document.body.dataset;
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
document.documentElement.classList.add("js");

// ---- What was pressed ------------------------------------------------------------------------------------------------

function note(text, bad = false) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  one("#notes").append(line);
  setTimeout(() => line.remove(), bad ? 10000 : 4000);
}

/** Whether an answer says that nobody is logged in any more: the page is asked for again then, and leads to where one logs in. */
function out({ status }) {
  if (status === 401) location.reload();
  return status === 401;
}

/** Calls the API; a refusal is thrown in its own words. */
async function ask(words, body) {
  const { method, url } = call(api, words);
  const headers = { "X-Celeriac-Request": "1", ...(body && { "Content-Type": "application/json" }) };
  const answer = await fetch(url, { method, headers, body });
  if (answer.ok) return answer.status === 204 ? null : answer.json().catch(() => null);
  out(answer);
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `${answer.status} ${answer.statusText}`);
}

/** Asks before something that cannot be taken back; `typed` has to be written then. */
function confirmed({ ask: question, why, yes = "Go on", typed }) {
  const dialog = one("#ask");
  one("h2", dialog).textContent = question;
  one("p", dialog).textContent = why ?? "";
  const go = one("button[value=yes]", dialog);
  go.textContent = yes;
  const word = one("input", dialog);
  one(".typed", dialog).hidden = !typed;
  one(".typed b", dialog).textContent = typed ?? "";
  word.value = "";
  go.disabled = Boolean(typed);
  word.oninput = () => { go.disabled = word.value !== typed; };
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

async function act(button) {
  const { do: words, done, then } = button.dataset;
  const form = button.closest("form[data-numbers]");
  if (form && !form.reportValidity()) return;
  const body = form ? JSON.stringify(numbers(new FormData(form))) : button.dataset.body;
  if (button.dataset.ask && !(await confirmed(button.dataset))) return;
  button.disabled = true;
  try {
    await ask(words, body);
    if (then) return location.assign(base + then);
    if (done) note(done);
    await refresh();
    const page = one("#drawer .page");
    if (page) await open(page.dataset.number);
    listen();
  } catch (error) {
    note(error.message, true);
  } finally {
    button.disabled = false;
  }
}

async function bulk(what) {
  const ids = all("input[name=job]:checked").map((box) => box.value);
  const jobs = ids.length === 1 ? "1 job" : `${ids.length} jobs`;
  const words = { cancel: ["Cancel", "What is done stays."], retry: ["Retry", "Only what is missing is done."], delete: ["Delete", "They are removed for good."] }[what];
  if (!(await confirmed({ ask: `${words[0]} ${jobs}?`, why: words[1], yes: `${words[0]} ${jobs}`, typed: what === "delete" && ids.length > 1 ? String(ids.length) : "" }))) return;
  const calls = ids.map((id) => {
    const path = `/jobs/${encodeURIComponent(id)}`;
    return ask(what === "delete" ? `DELETE ${path}` : `POST ${path}/${what}`);
  });
  const refused = (await Promise.allSettled(calls)).filter((end) => end.status === "rejected");
  if (refused.length < ids.length) note(`${ids.length - refused.length} of ${jobs} done.`);
  refused.slice(0, 3).forEach((end) => note(end.reason.message, true));
  await refresh();
}

function selected() {
  const count = all("input[name=job]:checked").length;
  const text = one("[data-selected]");
  if (text) text.textContent = count ? `${count} selected` : "Nothing selected";
  all("[data-bulk]").forEach((button) => { button.disabled = count === 0; });
}

document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  if (at("[data-do]")) {
    event.preventDefault();
    return act(at("[data-do]"));
  }
  if (at("[data-bulk]")) return bulk(at("[data-bulk]").dataset.bulk);
  if (at("[data-close]")) return close();
  if (at("#theme")) return turn();
  if (at("#thumbs")) return thumbs(at("#thumbs"));
  if (at("[data-copy]")) return copy(one(at("[data-copy]").dataset.copy).innerText);
  if (at("[data-speed]")) return hasten(at("[data-speed]"));
  const link = at("a[data-page]");
  if (link && one("#drawer") && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    open(link.dataset.page);
  }
});
document.addEventListener("change", (event) => {
  if (event.target.id === "all") all("input[name=job]").forEach((box) => { box.checked = event.target.checked; });
  selected();
});

function turn() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `celeriac_theme=${root.dataset.theme};path=/;max-age=31536000;samesite=strict`;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    note("Copied.");
  } catch {
    note("The browser does not let this page copy.", true);
  }
}

function hasten(button) {
  const part = button.closest(".part");
  one("audio", part).playbackRate = Number(button.dataset.speed);
  all("[data-speed]", part).forEach((other) => other.setAttribute("aria-pressed", other === button));
}

// ---- Bringing what the server draws ----------------------------------------------------------------------------------

let refreshing = null;
let again = false;

/** Draws the live parts of this page anew, as the server has them now. One at a time; who asks meanwhile gets one more. */
function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = bring().catch(() => {}).finally(() => {
    refreshing = null;
    if (again) {
      again = false;
      refresh();
    }
  });
  return refreshing;
}

async function bring() {
  const answer = await fetch(location.pathname + location.search, { headers: { "X-Celeriac-Request": "1" } });
  if (out(answer) || !answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const checked = new Set(all("input[name=job]:checked").map((box) => box.value));
  for (const part of all("[data-live]")) {
    const now = one(`[data-live="${part.dataset.live}"]`, fresh);
    if (now && now.innerHTML !== part.dataset.drawn && !holds(part)) replace(part, now);
  }
  all("input[name=job]").forEach((box) => { box.checked = checked.has(box.value); });
  selected();
}

/** Whether somebody is busy with a part: it is not drawn away under him. */
function holds(part) {
  const playing = all("audio", part).some((audio) => !audio.paused);
  return playing || (one("details[open]", part) !== null);
}

function replace(part, now) {
  const focus = part.contains(document.activeElement) && document.activeElement.dataset.page;
  const drawn = now.innerHTML;
  part.replaceWith(document.adoptNode(now));
  now.dataset.drawn = drawn;
  if (now.dataset.live === "grid") {
    show();
    if (pictures) thumbs(one("#thumbs"), true);
    if (focus) cell(focus)?.focus();
  }
}

// ---- The grid --------------------------------------------------------------------------------------------------------

const grid = () => one("#grid");
let squares = { grid: null, pages: new Map() };

/** The square of a page, looked up in a map: a selector would go through all of them for each of them. */
function cell(page) {
  if (squares.grid !== grid()) squares = { grid: grid(), pages: new Map(all("#grid .cell").map((place) => [Number(place.dataset.page), place])) };
  return squares.pages.get(Number(page));
}

let pictures = false;

/** Shows other states: `found` are pages with their letters. */
function paint(found) {
  if (found.length === 0) return;
  const letters = [...grid().dataset.states];
  const rows = new Set();
  for (const [page, letter] of found) {
    const place = cell(page);
    if (!place) continue;
    letters[page - 1] = letter;
    place.classList.remove(NAMES[place.dataset.s]);
    place.classList.add(NAMES[letter]);
    place.dataset.s = letter;
    place.title = `Page ${page}: ${NAMES[letter]}`;
    place.setAttribute("aria-label", place.title);
    if (pictures) picture(place);
    rows.add(place.closest(".row"));
  }
  grid().dataset.states = letters.join("");
  for (const row of rows) {
    const [text, tone] = rowState(all(".cell", row).map((place) => place.dataset.s));
    const label = one(".label small", row);
    label.textContent = text;
    label.className = tone;
  }
  const counts = tally(grid().dataset.states);
  all("[data-count]").forEach((count) => {
    count.textContent = counts[count.dataset.count] ?? 0;
    count.parentElement.hidden = !counts[count.dataset.count] && count.dataset.count !== "failed";
  });
}

/** The letters of all pages as events tell them: the grid may be drawn anew meanwhile from what is older. */
let known = null;

/** Paints what is known; `false`: the grid has other pages. */
function show() {
  const found = grid() && known ? changes(grid().dataset.states, known.join("")) : [];
  if (found) paint(found);
  return found !== null;
}

function told(pages) {
  if (known) for (const { n, s } of pages) known[n - 1] = s;
  show();
}

function snapshot(view) {
  if (view.percent !== undefined) progress(view);
  if (!grid()) return;
  const began = performance.now();
  known = [...view.page_states];
  if (!show()) return refresh();
  requestAnimationFrame(() => setTimeout(() => {
    performance.measure("grid", { start: began, end: performance.now() });
  }));
}

function picture(place) {
  if (!"oc".includes(place.dataset.s) || one("img", place)) return;
  const image = document.createElement("img");
  image.loading = "lazy";
  image.alt = "";
  image.src = `${api}/jobs/${job()}/pages/${place.dataset.page}/image?w=160`;
  image.onerror = () => image.remove();
  place.append(image);
}

function thumbs(button, keep = false) {
  pictures = keep || !pictures;
  button.setAttribute("aria-pressed", pictures);
  grid().classList.toggle("thumbs", pictures);
  all("#grid .cell").forEach((place) => (pictures ? picture(place) : one("img", place)?.remove()));
}

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, audio, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && !one("#drawer")?.hidden) return close();
  if (!grid()?.children.length) return;
  const drawn = one("#drawer .page")?.dataset.number;
  const here = Number(drawn ?? document.activeElement.dataset?.page ?? 0);
  const inside = drawn || document.activeElement.closest("#grid");
  const failed = event.key === "f" ? next(grid().dataset.states, "f", here) : null;
  const rows = () => all("#grid .row").map((row) => all(".cell", row).map((place) => Number(place.dataset.page)));
  const to = failed ?? (inside ? move(rows(), here, event.key) : null);
  if (event.key === "f" && !failed) note("No page failed.");
  if (!to) return;
  event.preventDefault();
  cell(to)?.focus();
  if (drawn) open(to);
});

// ---- The drawer ------------------------------------------------------------------------------------------------------

const job = () => one("[data-job]").dataset.job;
let opening = 0;

async function open(page) {
  const turnstile = (opening += 1);
  const answer = await fetch(`${base}/jobs/${job()}/pages/${page}`, { headers: { "X-Celeriac-Request": "1" } });
  if (out(answer)) return;
  const text = await answer.text();
  if (turnstile !== opening) return;
  const article = one("#page", new DOMParser().parseFromString(text, "text/html"));
  if (!article) return note(`Page ${page} cannot be shown now.`, true);
  const drawer = one("#drawer");
  drawer.replaceChildren(document.adoptNode(article));
  drawer.scrollTop = 0;
  if (drawer.hidden) {
    drawer.hidden = false;
    if (document.activeElement?.closest("#grid") === null) drawer.focus();
  }
  all(".cell.open").forEach((other) => other.classList.remove("open"));
  cell(page)?.classList.add("open");
  history.replaceState(null, "", `#p${page}`);
}

function close() {
  const page = one("#drawer .page")?.dataset.number;
  opening += 1;
  one("#drawer").hidden = true;
  one("#drawer").replaceChildren();
  all(".cell.open").forEach((other) => other.classList.remove("open"));
  history.replaceState(null, "", location.pathname + location.search);
  cell(page)?.focus();
}

// ---- What happens, as it happens -------------------------------------------------------------------------------------

let source = null;
let over = false;

function listen() {
  source?.close();
  over = false;
  if (!events || document.hidden) return;
  source = new EventSource(events);
  const hear = (kind, act) => source.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  source.onopen = () => live("live", true);
  const mine = source;
  source.onerror = () => {
    if (over || mine !== source) return;
    live("connection lost, trying again");
    // An answer that is no stream ends it for good. Why, the page itself is told when it is asked for; else it is begun anew.
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => { if (mine === source) refresh().then(listen); }, 3000);
  };
  hear("snapshot", (view) => { snapshot(view); refresh(); });
  hear("pages", ({ pages }) => told(pages));
  hear("progress", progress);
  for (const kind of ["phase", "state", "batch", "document", "log", "jobs", "stats"]) hear(kind, refresh);
  hear("end", () => {
    over = true;
    source.close();
    live("ended");
    refresh();
  });
}

function live(text, on = false) {
  const light = one("#live");
  light.textContent = text;
  light.classList.toggle("on", on);
}

/** `view` is a `progress` event or a job as the API tells it. */
function progress(view) {
  const bar = one(".facts progress");
  if (!bar) return;
  const counts = view.counts;
  const set = (fact, text) => { one(`[data-fact="${fact}"]`).textContent = text; };
  bar.value = view.percent;
  set("done", counts ? counts.ok + counts.cached : view.done);
  const failed = counts ? counts.failed : view.failed;
  set("failed", failed);
  one('[data-fact="failed"]').classList.toggle("bad", failed > 0);
  set("eta", spell(view.eta_s ?? view.eta_seconds));
  set("rate", view.rate_ppm ?? view.pages_per_minute);
  set("cost", price(view.usage?.cost_usd));
}

function tick() {
  const elapsed = one('[data-fact="elapsed"]');
  const since = Date.parse(elapsed?.dataset.since ?? "");
  if (since) elapsed.textContent = spell((Date.now() - since) / 1000);
}

// ---- Handing in ------------------------------------------------------------------------------------------------------

const drop = one("#drop");
const form = one("#hand-in form");
let files = [];

/** How many pages a file has, as far as it shows. */
async function pagesIn(file) {
  if (file.type.startsWith("image/")) return file.type === "image/tiff" ? null : 1;
  const pieces = [file.slice(0, 1 << 20), file.slice(-(1 << 20))];
  const texts = await Promise.all(pieces.map(async (piece) => new TextDecoder("latin1").decode(await piece.arrayBuffer())));
  return pagesOf(texts.join("\n"));
}

async function offered(given) {
  const dropped = [...given];
  dropped.filter((file) => !readable(file.type)).forEach((file) => note(`${file.name} is left out: it is no PDF, PNG, JPEG, WebP or TIFF.`, true));
  files = dropped.filter((file) => readable(file.type));
  if (files.length === 0) return;
  form.reset();
  one("[data-name]", form).textContent = files.length === 1 ? files[0].name : `${files.length} documents`;
  one("[data-size]", form).textContent = size(files.reduce((sum, file) => sum + file.size, 0));
  one(".estimate", form).textContent = "";
  one("#hand-in").showModal();
  const counts = await Promise.all(files.map(pagesIn));
  form.elements.count.value = counts.every(Boolean) ? counts.reduce((sum, count) => sum + count) : "";
  estimate();
}

async function estimate() {
  const pages = Number(form.elements.count.value);
  const line = one(".estimate", form);
  if (!(pages > 0)) {
    line.textContent = "Say how many pages it has to see how long it takes; it can be left out.";
    return;
  }
  try {
    line.textContent = estimateText(await ask("POST /estimate", JSON.stringify({ pages })));
  } catch (error) {
    line.textContent = error.message;
  }
}

/** The form as the API takes it. */
function handed() {
  const { pages, ocr, analysis, priority, tags, summary, audio } = form.elements;
  const options = {
    ...(pages.value.trim() && { pages: pages.value.trim() }), ...(analysis.value && { analysis: analysis.value }),
    ocr: ocr.value, summary: summary.checked, audio: audio.checked,
  };
  const body = new FormData();
  body.append("options", JSON.stringify(options));
  body.append("priority", priority.value);
  body.append("tags", JSON.stringify(tags.value.split(",").map((tag) => tag.trim()).filter(Boolean)));
  files.forEach((file) => body.append("file", file, file.name));
  return body;
}

/** Sends the form; a fetch would not tell how far it is. */
function hand() {
  const bar = one("progress", form);
  const send = new XMLHttpRequest();
  send.open("POST", `${api}/jobs`);
  send.setRequestHeader("X-Celeriac-Request", "1");
  send.responseType = "json";
  bar.hidden = false;
  send.upload.onprogress = ({ loaded, total }) => { bar.value = (loaded * 100) / total; };
  const refused = (text) => { bar.hidden = true; one(".estimate", form).textContent = text; };
  send.onload = () => {
    if (out(send)) return;
    if (send.status < 300) return location.assign(`${base}/jobs/${encodeURIComponent(send.response.job_id)}`);
    refused(send.response?.detail ?? `The service answered ${send.status}.`);
  };
  send.onerror = () => refused("The service cannot be reached.");
  send.send(handed());
}

if (drop) {
  one("#file").addEventListener("change", (event) => { offered(event.target.files); });
  for (const kind of ["dragover", "dragleave", "drop"]) drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop") offered(event.dataTransfer.files);
  });
  form.elements.count.addEventListener("change", estimate);
  form.addEventListener("submit", (event) => { event.preventDefault(); hand(); });
  one("button[value=close]", form).addEventListener("click", () => { one("#hand-in").close(); one("#file").value = ""; });
}

// ---- Begin -----------------------------------------------------------------------------------------------------------

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return listen();
  source?.close();
  live("paused");
});
listen();
setInterval(tick, 1000);
const linked = /^#p(\d+)$/.exec(location.hash);
if (linked && one("#drawer")) open(linked[1]);
