// Queues, workers, and what is left when Redis is emptied.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { pdf, report } from "./pdf.mjs";
import { Service, browser, skipped, until } from "./service.mjs";
import { page, yes } from "./tab.mjs";

const skip = await skipped();

describe("a service over Redis", { skip, timeout: 1_800_000 }, () => {
  let chromium;
  let service;
  before(async () => {
    chromium = await browser();
    service = await new Service({ redis: true, top: "task_inherit_parent_priority = true\n", settings: "[celeriac.webhooks]\nallow_private = true\n" }).start();
  });
  after(async () => {
    await chromium?.close();
    await service?.stop();
  });

  test("shows a queue by priority, and whose turn is next, while it is paused", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/queues`);
    const row = tab.locator("tr", { hasText: "page_processing" });
    await row.locator("button", { hasText: "Pause" }).click();
    await yes(tab);
    await row.locator("button", { hasText: "Resume" }).waitFor();
    const first = await service.submit("first.pdf", pdf(report(12)), { page_parallelism: 0 }, { priority: "low" });
    await row.locator("a", { hasText: "first.pdf" }).waitFor();
    const second = await service.submit("second.pdf", pdf(report(9)), { page_parallelism: 0 }, { priority: "high" });
    await row.locator("small", { hasText: "9 high · 12 low" }).waitFor();
    assert.equal(await row.locator("a").textContent(), "first.pdf", "it was queued first, though the other is served before it");
    await tab.goto(service.url);
    await tab.locator(".strip li", { hasText: "page_processing" }).locator("small", { hasText: "next for" }).waitFor();
    await tab.locator(".alert", { hasText: "No worker takes from page_processing" }).waitFor();
    await tab.goto(`${service.url}/queues`);
    await row.locator("button", { hasText: "Resume" }).click();
    for (const id of [first, second]) assert.equal((await service.ended(id)).status, "completed");
    await until("nothing is next any more", async () => await row.locator("a").count() === 0);
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("throws away what waits in a queue, for who writes its name", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/queues`);
    const row = tab.locator("tr", { hasText: "page_processing" });
    assert.equal(await row.locator("button", { hasText: "Purge" }).count(), 0, "nothing waits");
    await row.locator("button", { hasText: "Pause" }).click();
    await yes(tab);
    await row.locator("button", { hasText: "Resume" }).waitFor();
    const id = await service.submit("thrown.pdf", pdf(report(7)), { page_parallelism: 0 });
    await row.locator("a", { hasText: "thrown.pdf" }).waitFor();
    await row.locator("button", { hasText: "Purge" }).click();
    const go = tab.locator("#ask button[value=yes]");
    assert.ok(await go.isDisabled());
    await tab.locator("#ask input").fill("page_processing");
    await go.click();
    await until("nothing waits any more", async () => await row.locator("button", { hasText: "Purge" }).count() === 0);
    assert.equal((await service.get("/v1/queues")).queues.page_processing.waiting, 0);
    await row.locator("button", { hasText: "Resume" }).click();
    await row.locator("button", { hasText: "Pause" }).waitFor();
    await fetch(`${service.url}/v1/jobs/${id}`, { method: "DELETE", headers: { "X-Celeriac-Request": "1" } });
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("lets a worker grow, shrink and end", async () => {
    const fixed = service.run("worker", "-n", "fixed@e2e", "-c", "2", "-Q", "default");
    const scaled = service.run("worker", "-n", "scaled@e2e", "--autoscale", "4,1", "-Q", "default");
    const tab = await page(chromium);
    await tab.goto(`${service.url}/workers`);
    const row = (name) => tab.locator("tr", { hasText: name });
    const told = (name, text) => row(name).locator("small", { hasText: text }).waitFor();
    await told("fixed@e2e", "0 of 2");
    await told("fixed@e2e", "celeriac ");
    await told("fixed@e2e", "0 failed");
    await row("fixed@e2e").locator("button", { hasText: "+" }).click();
    await yes(tab);
    await told("fixed@e2e", "0 of 3");
    await row("fixed@e2e").locator("button", { hasText: "−" }).click();
    await yes(tab);
    await told("fixed@e2e", "0 of 2");

    await told("scaled@e2e", "1 to 4");
    // In one go: the row may be drawn anew between two actions.
    await row("scaled@e2e").locator("form:has(input[name=max])").evaluate((form) => {
      form.elements.max.value = "2";
      form.querySelector("button").click();
    });
    await yes(tab);
    await told("scaled@e2e", "1 to 2");

    assert.equal(await row("celery@serve").locator("button", { hasText: "Shut down" }).count(), 0, "it ends with the service");
    for (const [name, program] of [["fixed@e2e", fixed], ["scaled@e2e", scaled]]) {
      await row(name).locator("button", { hasText: "Shut down" }).click();
      await yes(tab);
      await program.ended;
      await until("it is gone from the page", async () => await row(name).count() === 0);
    }
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("shows who was told of a job's end, and which tasks did it", async () => {
    const hooks = [];
    const listener = createServer((asked, answer) => { hooks.push(asked.url); answer.end(); }).listen(0, "127.0.0.1");
    await once(listener, "listening");
    const url = `http://127.0.0.1:${listener.address().port}/told?token=canary`;
    const id = await service.submit("hook.pdf", pdf(report(2)), {}, { webhook: { url } });
    const tab = await page(chromium);
    await service.ended(id);
    await until("it was told", () => hooks.length > 0);
    await until("that is in the log", async () => JSON.stringify(await service.get(`/v1/jobs/${id}/log`)).includes("200 at try 1"));
    await tab.goto(`${service.url}/jobs/${id}/raw`);
    await tab.locator(".log span", { hasText: "webhook job.completed: 200 at try 1" }).waitFor();
    assert.equal((await tab.content()).includes("canary"), false);
    await tab.locator("summary", { hasText: "Tasks of 2 pages" }).click();
    assert.match(await tab.locator("tr", { hasText: "celery@serve" }).first().textContent(), /^1[0-9a-f-]{36}celery@serve/);
    assert.match(await tab.locator("#result").textContent(), /"executive"/);
    await tab.close();
    listener.close();
  });

  test("has its history still when Redis was emptied", async () => {
    const id = await service.submit("kept.pdf", pdf(report(5)), {}, { tags: ["kept"] });
    await service.ended(id);
    await until("it is archived", async () => (await service.get("/v1/history?tag=kept")).jobs.length === 1);
    await service.askRedis("FLUSHALL");
    const tab = await page(chromium);
    await tab.goto(`${service.url}/jobs?tag=kept`);
    await tab.locator("td.title a", { hasText: "kept.pdf" }).waitFor();
    assert.notEqual(await tab.locator(".chips a", { hasText: "Completed" }).locator("span").textContent(), "0");
    await tab.locator("td.title a", { hasText: "kept.pdf" }).click();
    await tab.locator("h1", { hasText: "completed" }).waitFor();
    assert.equal(await tab.locator("#grid .cell.ok").count(), 5);
    await tab.locator(".tabs a", { hasText: "Summary" }).click();
    await tab.locator("#executive p").first().waitFor();
    await tab.locator(".tabs a", { hasText: "Log" }).click();
    await tab.locator(".log li").first().waitFor();
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });
});
