// Takes the pictures of docs/screenshots from a service with a few documents in it: `node screenshots.mjs FOLDER`.
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pdf, report } from "./pdf.mjs";
import { Service, browser, missing, until } from "./service.mjs";

const into = process.argv[2];
const why = await missing();
if (why || !into) throw new Error(why ?? "which folder?");
mkdirSync(into, { recursive: true });

const service = new Service();
const reader = join(service.folder, "reader");
writeFileSync(reader, "#!/bin/sh\necho 'the reader is broken' >&2\nexit 1\n");
chmodSync(reader, 0o755);
service.settings = `ocr = "auto"\ntesseract = "${reader}"\n`;
const chromium = await browser();

async function picture(name, path, { act, ...look } = {}) {
  const tab = await chromium.newPage({ viewport: { width: 1280, height: 840 }, ...look });
  await tab.goto(service.url + path);
  await tab.locator("#live").waitFor();
  await act?.(tab);
  await tab.screenshot({ path: join(into, `${name}.png`) });
  await tab.close();
  console.log(name);
}

try {
  await service.start();
  const whole = await service.submit("annual-report-2025.pdf", pdf(report(60)), { audio: true }, { user_id: "finance", tags: ["q4", "audit"] });
  await service.ended(whole);
  const partial = await service.submit("minutes-scan.pdf", pdf([...report(30), null, ...report(29)]), {}, { user_id: "board" });
  await service.ended(partial);
  /** A document of 500 pages that is worked on while `look` looks at it. */
  const during = async (name, look) => {
    const id = await service.submit(name, pdf(report(500)), {}, { user_id: "legal", tags: ["contracts"] });
    await until("a third of it is done", async () => (await service.job(id)).counts.ok > 160, 300);
    await look(id);
    await service.ended(id, 600);
  };
  const drawer = async (tab) => {
    await tab.locator('#grid [data-page="31"]').click();
    await tab.locator("#drawer .page").waitFor();
  };
  const loaded = async (tab) => {
    await tab.locator("#thumbs").click();
    await until("images are there", () => tab.evaluate(() => [...document.querySelectorAll("#grid img")].slice(0, 12).every((image) => image.complete && image.naturalWidth)));
  };
  await during("contracts-2019.pdf", async (id) => {
    await picture("document", `/jobs/${id}`);
    await picture("document-dark", `/jobs/${id}`, { colorScheme: "dark" });
  });
  await during("contracts-2025.pdf", async (id) => {
    await picture("overview", "/");
    await picture("document-phone", `/jobs/${id}`, { viewport: { width: 390, height: 840 } });
    await picture("jobs", "/jobs");
    await picture("queues", "/queues");
    await picture("workers", "/workers");
  });
  await picture("page", `/jobs/${partial}`, { act: drawer });
  await picture("thumbnails", `/jobs/${whole}`, { act: loaded });
  for (const tab of ["summary", "audio", "timeline"]) await picture(tab, `/jobs/${whole}/${tab}`);
  await picture("log", `/jobs/${partial}/log`);
  await picture("failures", "/failures");
  await picture("system", "/system");
} finally {
  await chromium.close();
  await service.stop();
}
