// The dashboard in a browser, over a service that works.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pdf, pictures, report } from "./pdf.mjs";
import { Service, browser, skipped, until } from "./service.mjs";
import { drop, dropAll, letters, page, yes } from "./tab.mjs";

const skip = await skipped();

describe("the dashboard", { skip, timeout: 1_800_000 }, () => {
  let chromium;
  let service;
  before(async () => {
    chromium = await browser();
    service = await new Service().start();
  });
  after(async () => {
    await chromium?.close();
    await service?.stop();
  });

  // S0.10, S3.17: one command, and everything of a document can be looked at while it is worked on.
  test("a document that is dropped tells how long it takes, and is seen page by page to its summary and narration", async () => {
    service.reader.set("held", true);
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs`);
    await until("its worker answers", async () => (await service.get("/v1/workers")).workers.length === 1);
    await drop(tab, "report.pdf", pdf([...report(30), ...pictures(4)]));
    await tab.locator("#hand-in .estimate", { hasText: "34 pages, about" }).waitFor();
    await tab.locator("#hand-in button.primary").click();
    await tab.waitForURL(/\/jobs\/[^/?]+$/);
    // From here on the page is not loaded again.
    await tab.evaluate(() => { document.body.dataset.same = "yes"; });
    await until("what can be read is done", async () => /^o{30}[qr]{4}$/.test(await letters(tab)));
    await tab.locator("#grid .cell.running").first().waitFor();
    service.reader.set("held", false);
    await tab.locator(".document[data-status=completed]").waitFor();
    await until("all pages are done", async () => await letters(tab) === "o".repeat(34));
    assert.equal(await tab.evaluate(() => document.body.dataset.same), "yes");
    await tab.locator(".tabs a", { hasText: "Summary" }).click();
    await tab.locator("#executive p").first().waitFor();
    await tab.locator(".tabs a", { hasText: "Audio" }).click();
    await until("the narration has a length", () => tab.evaluate(() => document.querySelector("audio")?.duration > 0));
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("several files that are dropped are one job, and what cannot be read is named", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs`);
    const files = ["one", "two"].map((name, number) => [`${name}.pdf`, pdf(report(number + 1)), "application/pdf"]);
    await dropAll(tab, [...files, ["book.epub", Buffer.from("PK"), "application/epub+zip"]]);
    await tab.locator("#notes .bad", { hasText: "book.epub is left out" }).waitFor();
    await tab.locator("#hand-in h2", { hasText: "2 documents" }).waitFor();
    await tab.locator("#hand-in .estimate", { hasText: "3 pages" }).waitFor();
    await tab.locator("#hand-in button.primary").click();
    await tab.waitForURL(/\/jobs\/[^/?]+$/);
    for (const name of ["one.pdf", "two.pdf"]) await tab.locator("a", { hasText: name }).first().waitFor();
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("the log grows while one looks at it", async () => {
    service.reader.set("held", true);
    const id = await service.submit("log.pdf", pdf(pictures(2)));
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs/${id}/log`);
    await tab.locator("#live.on").waitFor();
    await tab.evaluate(() => { document.body.dataset.same = "yes"; });
    const lines = () => tab.locator("#log li").count();
    const before = await lines();
    service.reader.set("held", false);
    await tab.locator(".document[data-status=completed]").waitFor();
    await until("there are more lines", async () => await lines() > before);
    assert.equal(await tab.evaluate(() => document.body.dataset.same), "yes", "it was not loaded again");
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("a summary's quotes lead to their pages, and a narration has its words", async () => {
    const id = await service.submit("report.pdf", pdf(report(30)), { audio: true });
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs/${id}`);
    await tab.locator(".document[data-status=completed]").waitFor();
    assert.equal(await tab.locator("#grid .cell.ok").count(), 30);
    await tab.locator(".tabs a", { hasText: "Summary" }).click();
    await tab.locator("#executive p").first().waitFor();
    const quote = tab.locator("a.ref[data-page]").first();
    const number = await quote.getAttribute("data-page");
    await quote.click();
    await tab.locator(`#drawer .page[data-number="${number}"]`).waitFor();
    await tab.keyboard.press("Escape");
    assert.equal(await tab.locator("#drawer").isVisible(), false);
    await tab.locator(".tabs a", { hasText: "Audio" }).click();
    await tab.locator("#transcript p").first().waitFor();
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("all pages are there, say who they are and complain of nothing", async () => {
    const tab = await page(chromium);
    for (const [path, heading] of [["/", "Overview"], ["/jobs", "Jobs"], ["/queues", "Queues"], ["/workers", "Workers"], ["/failures", "Failures"], ["/system", "System"]]) {
      await tab.goto(service.url + path);
      assert.equal(await tab.locator("h1").textContent(), heading);
      assert.equal(await tab.locator("nav a[aria-current=page]").first().textContent(), heading);
      assert.equal(await tab.locator("button:not([aria-label])").evaluateAll((all) => all.filter((one) => !one.textContent.trim()).length), 0);
      assert.equal(await tab.locator("img:not([alt])").count(), 0);
      await tab.locator("#live.on").waitFor();
    }
    assert.deepEqual(tab.complaints, []);
    await tab.goto(`${service.url}/jobs/none`);
    assert.match(await tab.locator(".wrong").textContent(), /there is no job none/);
    await tab.close();
  });

  test("without JavaScript everything can be read", async () => {
    const id = await service.submit("plain.pdf", pdf(report(3)));
    await service.ended(id);
    const tab = await page(chromium, { javaScriptEnabled: false });
    await tab.goto(`${service.url}/jobs/${id}`);
    assert.equal(await tab.locator("#grid .cell.ok").count(), 3);
    assert.equal(await tab.locator("[data-do]:visible").count(), 0);
    await tab.locator("#grid .cell").nth(1).click();
    assert.match(await tab.locator("#page-text").textContent(), /page 2/);
    await tab.close();
  });

  test("a job is cancelled from its page, and nothing of it begins afterwards", async () => {
    service.reader.set("held", true);
    const id = await service.submit("long.pdf", pdf([...report(25), ...pictures(20)]));
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs/${id}`);
    await tab.locator('#grid [data-page="25"].ok').waitFor();
    await tab.locator("#grid .cell.running").first().waitFor();
    await tab.locator("button", { hasText: "Cancel" }).first().click();
    const soon = Date.now() + 2000;
    await yes(tab);
    await tab.locator(".document[data-status=cancelled]").waitFor();
    await until("the grid says so", async () => await letters(tab) === "o".repeat(25) + "x".repeat(20));
    service.reader.set("held", false);
    const job = await service.job(id);
    assert.deepEqual([job.counts.ok, job.counts.cancelled, job.counts.running], [25, 20, 0]);
    // Two seconds after the click nothing begins any more, however free the workers are.
    await until("another job is done", async () => (await service.ended(await service.submit("next.pdf", pdf(pictures(9))))).status === "completed" && Date.now() > soon);
    const later = (await service.told(id, `${soon}-0`)).filter(([kind]) => kind === "pages").flatMap(([, { pages }]) => pages);
    assert.deepEqual(later.filter(({ s }) => s === "r"), []);
    assert.equal(await letters(tab), "o".repeat(25) + "x".repeat(20));
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("keys move in the grid and the look is remembered", async () => {
    const id = await service.submit("keys.pdf", pdf(report(60)));
    await service.ended(id);
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs/${id}`);
    await tab.locator('#grid [data-page="1"]').focus();
    await tab.keyboard.press("ArrowDown");
    assert.equal(await tab.evaluate(() => document.activeElement.dataset.page), "26");
    await tab.keyboard.press("Enter");
    await tab.locator('#drawer .page[data-number="26"]').waitFor();
    await tab.keyboard.press("ArrowRight");
    await tab.locator('#drawer .page[data-number="27"]').waitFor();
    await tab.keyboard.press("Escape");
    assert.equal(await tab.evaluate(() => document.activeElement.dataset.page), "27");
    await tab.locator("#theme").click();
    await tab.reload();
    assert.equal(await tab.locator("html[data-theme=dark]").count(), 1);
    await tab.close();
  });

  test("500 pages are painted soon after their snapshot", async (t) => {
    service.reader.set("held", true);
    const id = await service.submit("large.pdf", pdf([...pictures(50), ...report(450)]), { summary: false });
    await until("it is open", async () => (await service.job(id)).page_states.length === 500);
    const tab = await page(chromium);
    const events = "**/v1/jobs/*/events";
    // Nothing is told until all pages have another state than the grid shows.
    await tab.route(events, (route) => route.abort());
    await tab.goto(`${service.url}/jobs/${id}`);
    service.reader.set("held", false);
    await service.ended(id);
    const stale = await tab.locator("#grid .cell:not(.ok)").count();
    await tab.unroute(events);
    const took = await until("the grid was painted", () => tab.evaluate(() => performance.getEntriesByName("grid")[0]?.duration));
    t.diagnostic(`${stale} of 500 pages were painted anew ${took.toFixed(1)} ms after their snapshot (wanted: 200)`);
    await until("all are well", async () => await tab.locator("#grid .cell.ok").count() === 500);
    await tab.close();
  });

  test("a page that fails is seen by its glyph, tells why, and is well after a retry", async () => {
    service.reader.set("broken", true);
    const id = await service.submit("scan.pdf", pdf([...report(2), null, ...report(2)]));
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs/${id}`);
    await tab.locator(".document[data-status=partial]").waitFor();
    const failed = tab.locator("#grid .cell.failed");
    assert.equal(await failed.getAttribute("aria-label"), "Page 3: failed");
    assert.equal(await failed.evaluate((cell) => getComputedStyle(cell, "::before").content), '"!"');
    await tab.keyboard.press("f");
    await tab.keyboard.press("Enter");
    await tab.locator("#drawer .alert.failed", { hasText: "ocr_failed" }).waitFor();
    service.reader.set("broken", false);
    await tab.locator("#drawer button", { hasText: "Retry this page" }).click();
    await tab.locator(".document[data-status=completed]").waitFor();
    await until("only that page was done again", async () => await letters(tab) === "ccocc");
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });
});

describe("a service that is killed", { skip, timeout: 1_800_000 }, () => {
  test("and started again is found again, and the grid is right", async () => {
    const service = new Service({ redis: true });
    const chromium = await browser();
    try {
      await service.start();
      service.reader.set("held", true);
      const id = await service.submit("long.pdf", pdf([...report(25), ...pictures(20)]));
      const tab = await page(chromium);
      await tab.goto(`${service.url}/jobs/${id}`);
      await tab.locator("#grid .cell.ok").nth(24).waitFor();
      await service.program.kill("SIGKILL");
      await tab.locator("#live", { hasText: "connection lost" }).waitFor();
      service.reader.set("held", false);
      await service.start();
      await tab.locator(".document[data-status=completed]").waitFor();
      await until("the grid shows what the service says", async () => (await letters(tab)) === (await service.job(id)).page_states);
    } finally {
      await chromium.close();
      await service.stop();
    }
  });
});
