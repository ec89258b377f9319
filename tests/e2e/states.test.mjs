// What the dashboard knows of states and times, without a browser.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { NAMES, call, changes, estimateText, move, next, numbers, pagesOf, price, readable, rowState, size, spell, tally } from "../../app/src/serve/ui/assets/states.js";

test("only pages whose state differs are painted", () => {
  assert.deepEqual(changes("qqrr", "qorf"), [[2, "o"], [4, "f"]]);
  assert.deepEqual(changes("oo", "oo"), []);
  assert.equal(changes("", "qq"), null, "a document that was opened in the meantime is drawn anew");
});

test("a row says how its batch is", () => {
  assert.deepEqual(rowState("qq.."), ["waiting", ""]);
  assert.deepEqual(rowState("oorq"), ["2 of 4", "busy"]);
  assert.deepEqual(rowState("oocs"), ["done", "good"]);
  assert.deepEqual(rowState("oofq"), ["1 failed", "bad"]);
  assert.deepEqual(rowState("ooxx"), ["cancelled", ""]);
  assert.deepEqual(rowState("ss"), ["not asked for", ""]);
});

test("every letter has a name and is counted", () => {
  assert.deepEqual(Object.keys(NAMES).sort().join(""), ".cfoqrsxy");
  assert.deepEqual(tally("ooqf"), { ok: 2, queued: 1, failed: 1 });
});

test("f goes to the next failed page and around", () => {
  assert.equal(next("ofoof", "f", 0), 2);
  assert.equal(next("ofoof", "f", 2), 5);
  assert.equal(next("ofoof", "f", 5), 2);
  assert.equal(next("ooo", "f", 1), null);
});

test("arrows move within the grid and stay in it", () => {
  const rows = [[1, 2, 3], [4, 5, 6], [7]];
  assert.equal(move(rows, 2, "ArrowDown"), 5);
  assert.equal(move(rows, 6, "ArrowDown"), 7, "a shorter row takes its last");
  assert.equal(move(rows, 1, "ArrowUp"), 1);
  assert.equal(move(rows, 3, "ArrowRight"), 4);
  assert.equal(move(rows, 7, "ArrowRight"), 7);
  assert.equal(move(rows, 5, "Home"), 4);
  assert.equal(move(rows, 5, "x"), null);
});

test("times are said in two units at most", () => {
  const cases = [[null, "–"], [0, "0 s"], [59.6, "1 min"], [61, "1 min 1 s"], [618, "10 min"], [3600, "1 h"], [5400, "1 h 30 min"], [200000, "2 d"]];
  for (const [seconds, text] of cases) assert.equal(spell(seconds), text);
});

test("prices and sizes", () => {
  assert.deepEqual([0, 0.004, 1.239].map(price), ["–", "< $0.01", "$1.24"]);
  assert.deepEqual([10, 1500, 2.5e6].map(size), ["1 kB", "2 kB", "2.5 MB"]);
});

test("a PDF's page count is read where it shows", () => {
  assert.equal(pagesOf("<< /Type /Pages /Count 25 >> << /Type /Pages /Kids [] /Count 500 >>"), 500);
  assert.equal(pagesOf("<</Linearized 1/L 32/H[1 2]/O 5/E 9/N 98/T 3>>"), 98);
  assert.equal(pagesOf("%PDF-1.7 nothing"), null);
});

test("what the service cannot read is known by its type, where there is one", () => {
  for (const type of ["application/pdf", "image/png", "image/jpeg", "image/webp", "image/tiff", ""]) assert.ok(readable(type), type);
  for (const type of ["text/html", "application/epub+zip", "image/gif", "image/svg+xml"]) assert.ok(!readable(type), type);
});

test("an estimate says why it cannot be told", () => {
  assert.equal(estimateText({ pages: 500, seconds: 417, slots: 6 }), "500 pages, about 6 min 57 s with 6 at once.");
  assert.match(estimateText({ pages: 5, seconds: null, warning: "no worker consumes page_processing" }), /no worker consumes/);
});

test("a form of numbers is sent as numbers", () => {
  assert.deepEqual(numbers(new Map([["min", "2"], ["max", "10"]])), { min: 2, max: 10 });
});

test("a call is made of its words", () => {
  assert.deepEqual(call("/x/v1", "POST /jobs/a%2Fb/cancel"), { method: "POST", url: "/x/v1/jobs/a%2Fb/cancel" });
});

test("all that the pages load is less than 60 kB compressed", (t) => {
  const folder = new URL("../../app/src/serve/ui/assets/", import.meta.url);
  const sizes = readdirSync(folder).map((name) => gzipSync(readFileSync(new URL(name, folder))).length);
  const all = sizes.reduce((sum, size) => sum + size);
  t.diagnostic(`${(all / 1000).toFixed(1)} kB`);
  assert.ok(sizes.length === 4 && all < 60_000, `${all} bytes`);
});
