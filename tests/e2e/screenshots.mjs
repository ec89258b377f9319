// Takes the pictures of docs/screenshots from a service with a few documents in it: `node screenshots.mjs FOLDER`.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pdf, pictures, report } from "./pdf.mjs";
import { Service, browser, missing, until } from "./service.mjs";
import { page } from "./tab.mjs";

const into = process.argv[2];
const why = await missing();
if (why || !into) throw new Error(why ?? "which folder?");
mkdirSync(into, { recursive: true });

const service = new Service();
const guarded = new Service({ env: { CELERIAC_API_KEYS: "ann:admin:the-key-of-an-admin-0123" } });
const chromium = await browser();

const lives = (tab) => tab.locator("#live", { hasText: /live|ended/ }).waitFor();

async function picture(name, path, { act, of = service, ready = lives, ...look } = {}) {
  const tab = await page(chromium, { viewport: { width: 1280, height: 840 }, ...look });
  await tab.goto(of.url + path);
  await ready(tab);
  await act?.(tab);
  await tab.screenshot({ path: join(into, `${name}.png`) });
  await tab.close();
  console.log(name);
}

try {
  await service.start();
  const whole = await service.submit("annual-report-2025.pdf", pdf(report(60)), { audio: true }, { user_id: "finance", tags: ["q4", "audit"] });
  await service.ended(whole);
  service.reader.set("broken", true);
  const partial = await service.submit("minutes-scan.pdf", pdf([...report(30), null, ...report(29)]), {}, { user_id: "board" });
  await service.ended(partial);
  service.reader.set("broken", false);
  // Its last pages wait for a reader that is held, so that it runs while it is looked at.
  service.reader.set("held", true);
  const running = await service.submit("contracts-2019-2025.pdf", pdf([...report(230), ...pictures(270)]), {}, { user_id: "legal", tags: ["contracts"] });
  await until("what can be read is read", async () => (await service.job(running)).counts.ok > 190, 300);
  const drawer = async (tab) => {
    await tab.locator('#grid [data-page="31"]').click();
    await tab.locator("#drawer .page").waitFor();
  };
  const loaded = async (tab) => {
    await tab.locator("#thumbs").click();
    await until("images are there", () => tab.evaluate(() => [...document.querySelectorAll("#grid img")].slice(0, 12).every((image) => image.complete && image.naturalWidth)));
  };
  await picture("document", `/jobs/${running}`);
  await picture("document-dark", `/jobs/${running}`, { colorScheme: "dark" });
  await picture("document-phone", `/jobs/${running}`, { viewport: { width: 390, height: 840 } });
  for (const [name, path] of [["overview", "/"], ["jobs", "/jobs"], ["queues", "/queues"], ["workers", "/workers"]]) await picture(name, path);
  await picture("page", `/jobs/${partial}`, { act: drawer });
  await picture("thumbnails", `/jobs/${whole}`, { act: loaded });
  for (const tab of ["summary", "audio", "timeline"]) await picture(tab, `/jobs/${whole}/${tab}`);
  await picture("log", `/jobs/${partial}/log`);
  await picture("failures", "/failures");
  for (const [name, path] of [["system", "/system"], ["audit", "/system/audit"]]) await picture(name, path);
  await picture("raw", `/jobs/${whole}/raw`);
  await picture("login", "/login", { of: await guarded.start(), ready: (tab) => tab.locator("input[name=key]").waitFor(), viewport: { width: 640, height: 480 } });
  service.reader.set("held", false);
} finally {
  await chromium.close();
  await service.stop();
  await guarded.stop();
}
