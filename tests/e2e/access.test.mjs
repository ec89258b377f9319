// Who may see and press what: people with keys of each role, and a service behind a path.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { pdf, report } from "./pdf.mjs";
import { Proxy } from "./proxy.mjs";
import { Service, browser, skipped, until } from "./service.mjs";
import { drop, letters, page } from "./tab.mjs";

const skip = await skipped();

const KEYS = { ann: "the-key-of-an-admin-0123", otto: "the-key-of-an-operator-01", rita: "the-key-of-a-reader-0123" };

/** Logs in on the page that asks for it. */
async function logIn(tab, key) {
  await tab.locator("input[name=key]").fill(key);
  await tab.locator("form button").click();
}

describe("a service with keys", { skip, timeout: 1_800_000 }, () => {
  let chromium;
  let service;
  before(async () => {
    chromium = await browser();
    const env = { CELERIAC_API_KEYS: `ann:admin:${KEYS.ann},otto:operate:${KEYS.otto},rita:read:${KEYS.rita}` };
    service = new Service({ env, settings: '[celeriac.webhooks]\nsecret = "canary-of-the-webhooks"\n' });
    service.key = KEYS.ann;
    await service.start();
  });
  after(async () => {
    await chromium?.close();
    await service?.stop();
  });

  test("asks who one is, leads to the page that was wanted, and lets one out again", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/workers`);
    assert.equal(await tab.locator("form").evaluate((form) => getComputedStyle(form).display), "grid", "it has its look");
    await logIn(tab, "the-key-of-nobody-0123");
    await tab.locator(".alert", { hasText: "not known here" }).waitFor();
    await logIn(tab, KEYS.otto);
    await tab.waitForURL(`${service.url}/workers`);
    assert.equal(await tab.locator(".who span").textContent(), "otto · operate");
    await tab.locator("#live.on").waitFor();
    await tab.locator(".who button").click();
    await tab.waitForURL(`${service.url}/login`);
    await tab.goto(`${service.url}/workers`);
    await tab.locator("input[name=key]").waitFor();
    await tab.close();
  });

  // A button that is there has its call in one of these.
  const buttons = "[data-do], [data-bulk], #drop";

  test("shows nobody what he may not press", async () => {
    const id = await service.submit("report.pdf", pdf(report(3)));
    await service.ended(id);
    const shown = {};
    for (const [name, key] of Object.entries(KEYS)) {
      const context = await chromium.newContext();
      const tab = await page(context);
      await tab.goto(service.url);
      await logIn(tab, key);
      await tab.waitForURL(`${service.url}/`);
      shown[name] = {};
      for (const path of ["/", "/jobs", `/jobs/${id}`, `/jobs/${id}/pages/1`, "/queues", "/workers", "/failures", "/system"]) {
        await tab.goto(service.url + path);
        shown[name][path.replace(id, "ID")] = await tab.locator(buttons).evaluateAll((all) => all.map((one) => one.dataset.do?.split(/[/ ]+/).at(-1) ?? one.dataset.bulk ?? one.id));
      }
      await tab.goto(`${service.url}/system/settings`);
      shown[name].settings = await tab.locator("h1").textContent();
      await context.close();
    }
    assert.deepEqual(new Set(Object.values(shown.rita).flat()), new Set(["Forbidden"]));
    const { otto, ann } = shown;
    assert.deepEqual([otto["/"], otto["/jobs"]], [["drop"], ["drop", "cancel", "retry", "delete"]]);
    assert.deepEqual([otto["/jobs/ID"], otto["/jobs/ID/pages/1"]], [[id], [id, "retry"]]);
    assert.deepEqual([otto["/queues"], otto["/workers"], otto["/system"], otto.settings], [[], [], [], "Forbidden"]);
    assert.deepEqual(new Set(ann["/queues"]), new Set(["pause"]));
    assert.deepEqual([ann["/workers"], ann.settings], [["shrink", "grow"], "System"]);
  });

  test("tells an admin how it is set up, without its secrets, and who did what", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/system`);
    await logIn(tab, KEYS.ann);
    await tab.locator("dd", { hasText: "1 admin, 1 operate, 1 read" }).waitFor();
    const open = async (name) => {
      await tab.locator(".tabs a", { hasText: name }).click();
      await tab.locator(".tabs a[aria-current]", { hasText: name }).waitFor();
      return tab.locator("main").textContent();
    };
    const settings = await open("Settings");
    assert.match(settings, /celeriac\.webhooks\.secret\*{8}/);
    assert.match(settings, /celeriac\.documents\.dpi40celery_config\.toml/);
    assert.match(settings, /tasks\.process_page|everything else goes to/);
    for (const secret of ["canary", ...Object.values(KEYS)]) assert.equal((await tab.content()).includes(secret), false, secret);
    const doctor = await open("Doctor");
    for (const what of ["pdfium", "ocr", "speech", "store"]) assert.ok(doctor.includes(what), doctor);
    const audit = await open("Audit");
    assert.match(audit, /ann admin/);
    assert.match(audit, /POST \/v1\/jobs/);
    assert.match(audit, /POST \/login/);
    assert.deepEqual(tab.complaints, []);
    await tab.close();
  });

  test("whose session has ended asks for the key again, and goes on where one was", async () => {
    const tab = await page(chromium);
    await tab.goto(`${service.url}/queues`);
    await logIn(tab, KEYS.rita);
    await tab.locator("#live.on").waitFor();
    // What sessions are sealed with is gone with the process.
    await service.program.kill("SIGKILL");
    await service.start();
    await tab.locator("input[name=key]").waitFor();
    await logIn(tab, KEYS.rita);
    await tab.waitForURL(`${service.url}/queues`);
    await tab.locator("#live.on").waitFor();
    await tab.close();
  });

  test("can be shown under a path", async () => {
    const proxy = await new Proxy(service, "/tools/docs").start();
    const tab = await page(chromium);
    try {
      await tab.goto(`${proxy.url}/jobs`);
      assert.equal(await tab.locator("form").evaluate((form) => getComputedStyle(form).display), "grid", "it has its look");
      await logIn(tab, KEYS.otto);
      await tab.waitForURL(`${proxy.url}/jobs`);
      await drop(tab, "report.pdf", pdf(report(4)));
      await tab.locator("#hand-in button.primary").click();
      await tab.waitForURL(/\/tools\/docs\/jobs\/[^/?]+$/);
      await tab.locator(".document[data-status=completed]").waitFor();
      await until("all pages are done", async () => await letters(tab) === "oooo");
      await tab.locator("#grid .cell").first().click();
      await until("the page's image is there", () => tab.evaluate(() => document.querySelector("#drawer img")?.naturalWidth > 0));
      await tab.keyboard.press("Escape");
      await tab.locator(".tabs a", { hasText: "Audio" }).click();
      await until("the narration has a length", () => tab.evaluate(() => document.querySelector("audio")?.duration > 0));
      await tab.locator("nav a", { hasText: "Overview" }).click();
      await tab.waitForURL(`${proxy.url}/`);
      await tab.locator("#live.on").waitFor();
      await tab.locator(".who button").click();
      await tab.waitForURL(`${proxy.url}/login`);
      assert.deepEqual(tab.complaints, []);
    } finally {
      await tab.close();
      await proxy.stop();
    }
  });
});
