// A page of the browser, and what is done on it by hand.

import { PATIENCE } from "./service.mjs";

/** A page that keeps what its console complains of. */
export async function page(chromium, options = {}) {
  const opened = await chromium.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  opened.setDefaultTimeout(PATIENCE * 1000);
  opened.complaints = [];
  opened.on("console", (message) => { if (message.type() === "error") opened.complaints.push(message.text()); });
  opened.on("pageerror", (error) => opened.complaints.push(error.message));
  return opened;
}

/** Lets a PDF fall on the page, as a person does. */
export const drop = (tab, name, bytes) => dropAll(tab, [[name, bytes, "application/pdf"]]);

/** The same with several files: name, bytes and type of each. */
export async function dropAll(tab, files) {
  const given = await tab.evaluateHandle((files) => {
    const given = new DataTransfer();
    for (const [base64, name, type] of files) {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      given.items.add(new File([bytes], name, { type }));
    }
    return given;
  }, files.map(([name, bytes, type]) => [bytes.toString("base64"), name, type]));
  await tab.dispatchEvent("#drop", "drop", { dataTransfer: given });
}

/** Says yes to what the page asks before it does something. */
export async function yes(tab) {
  await tab.locator("#ask button[value=yes]").click();
}

/** The letters of all squares, as `page_states` has them. */
export const letters = (tab) => tab.locator("#grid .cell").evaluateAll((cells) => cells.map((cell) => cell.dataset.s).join(""));
