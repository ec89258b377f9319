// A PDF of plain pages, and pages that are only a picture, made here so that no test needs a file.

/** `pages` texts; `null` is a page with a picture and no text, which only OCR can read. */
export function pdf(pages) {
  const objects = ["<< /Type /Catalog /Pages 2 0 R >>", null, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"];
  const kids = [];
  for (const text of pages) {
    const drawn = text === null ? picture() : lines(text);
    objects.push(`<< /Length ${drawn.length} >>\nstream\n${drawn}\nendstream`);
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] /Contents ${objects.length} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`);
    kids.push(`${objects.length} 0 R`);
  }
  objects[1] = `<< /Type /Pages /Kids [${kids.join(" ")}] /Count ${kids.length} >>`;
  let body = "%PDF-1.4\n";
  const places = objects.map((object, index) => {
    const place = body.length;
    body += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return String(place).padStart(10, "0");
  });
  const table = places.map((place) => `${place} 00000 n \n`).join("");
  const start = body.length;
  body += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(body, "latin1");
}

function lines(text) {
  const line = (words, index) => `BT /F1 11 Tf 30 ${360 - index * 18} Td (${words.replace(/[()\\]/g, "\\$&")}) Tj ET`;
  return text.split("\n").map(line).join("\n");
}

/** Grey stripes as an inline image over the whole page. */
function picture() {
  const rows = Array.from({ length: 8 }, (_, row) => (row % 2 ? "33" : "ee").repeat(8)).join("");
  return `q 300 0 0 400 0 0 cm BI /W 8 /H 8 /CS /G /BPC 8 /F /AHx ID ${rows}> EI Q`;
}

/** So many pages that are only a picture. */
export const pictures = (pages) => Array(pages).fill(null);

/** A document about something, of so many pages. */
export function report(pages) {
  const text = (page) => [
    `Annual report, page ${page}.`,
    `The European Central Bank reviewed department ${page} in Frankfurt.`,
    `Revenue of department ${page} grew by ${page % 7} percent over the year.`,
    "The board decided that growth was earned and not bought.",
  ].join("\n");
  return Array.from({ length: pages }, (_, index) => text(index + 1));
}
