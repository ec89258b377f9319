// What the page knows of states and times. Nothing here touches a document: node runs its tests.

/** The states of a page by their letters, as `page_states` has them. */
export const NAMES = {
  ".": "pending", q: "queued", r: "running", o: "ok", c: "cached",
  y: "retrying", f: "failed", s: "skipped", x: "cancelled",
};

/** What is written under the name of a row: `[text, tone]`. */
export function rowState(letters) {
  const asked = [...letters].filter((letter) => letter !== "s");
  const count = (of) => asked.filter((letter) => of.includes(letter)).length;
  const [failed, ended, begun] = [count("f"), count("ocfx"), count("ocfxry")];
  if (asked.length === 0) return ["not asked for", ""];
  if (failed > 0) return [`${failed} failed`, "bad"];
  if (count("x") > 0 && ended === asked.length) return ["cancelled", ""];
  if (ended === asked.length) return ["done", "good"];
  return begun > 0 ? [`${ended} of ${asked.length}`, "busy"] : ["waiting", ""];
}

/** The pages (from 1) whose state differs, as `[page, letter]`; `null` if the document has another number of pages. */
export function changes(before, after) {
  if (before.length !== after.length) return null;
  const found = [];
  for (let at = 0; at < after.length; at += 1) if (before[at] !== after[at]) found.push([at + 1, after[at]]);
  return found;
}

/** How many pages are in which state, by its name. */
export function tally(states) {
  const counts = {};
  for (const letter of states) counts[NAMES[letter]] = (counts[NAMES[letter]] ?? 0) + 1;
  return counts;
}

/** The next page (from 1) in a state after `page`, from the start again at the end; `null`: there is none. */
export function next(states, letter, page) {
  const at = states.indexOf(letter, page);
  const found = at >= 0 ? at : states.indexOf(letter);
  return found >= 0 ? found + 1 : null;
}

/** Where an arrow leads in rows of pages: `rows` are arrays of page numbers. */
export function move(rows, page, key) {
  const at = rows.findIndex((row) => row.includes(page));
  if (at < 0) return rows[0]?.[0] ?? null;
  const column = rows[at].indexOf(page);
  const all = rows.flat();
  const place = all.indexOf(page);
  switch (key) {
    case "ArrowLeft": return all[place - 1] ?? page;
    case "ArrowRight": return all[place + 1] ?? page;
    case "ArrowUp": return at > 0 ? rows[at - 1][Math.min(column, rows[at - 1].length - 1)] : page;
    case "ArrowDown": return at + 1 < rows.length ? rows[at + 1][Math.min(column, rows[at + 1].length - 1)] : page;
    case "Home": return rows[at][0];
    case "End": return rows[at].at(-1);
    default: return null;
  }
}

/** Seconds as people say them: the two greatest units. */
export function spell(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  const minutes = Math.round(s / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
  return `${Math.floor(minutes / 1440)} d`;
}

/** A price as it is written. */
export function price(usd) {
  if (!usd) return "–";
  return usd < 0.01 ? "< $0.01" : `$${usd.toFixed(2)}`;
}

/** Bytes as people say them. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** How many pages a PDF says it has, from a piece of its bytes as Latin-1; `null` where it does not show (compressed objects). */
export function pagesOf(text) {
  let most = null;
  for (const [, count] of text.matchAll(/\/Count\s+(\d{1,6})\b/g)) most = Math.max(most ?? 0, Number(count));
  if (most) return most;
  const linear = /\/Linearized[\s\S]{0,200}?\/N\s+(\d{1,6})\b/.exec(text);
  return linear ? Number(linear[1]) : null;
}

/** Whether a file may be a document; one whose type the browser does not know is left to the service. */
export const readable = (type) => !type || /pdf|^image\/(png|jpe?g|webp|tiff?)$/.test(type);

/** An estimate in words. */
export function estimateText({ pages, seconds, warning, slots }) {
  if (seconds === null) return `${pages} pages; how long cannot be told: ${warning}.`;
  return `${pages} pages, about ${spell(seconds)} with ${slots} at once.`;
}

/** The fields of a form that are all numbers. */
export const numbers = (fields) => Object.fromEntries([...fields].map(([name, value]) => [name, Number(value)]));

/** The call behind `POST /jobs/7/cancel`. */
export function call(api, words) {
  const [method, path] = words.split(" ");
  return { method, url: api + path };
}
