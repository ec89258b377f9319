"""pypdfium2_loop.py FILE PAGES DPI FOLDER: the first pages in one process, as a script without a queue would do them."""

import sys
from pathlib import Path

import pypdfium2

file, pages, dpi, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
document = pypdfium2.PdfDocument(file)
for number in range(1, pages + 1):
    page = document[number - 1]
    page.render(scale=dpi / 72).to_pil().save(folder / f"{number}.jpg", quality=85)
    (folder / f"{number}.txt").write_text(page.get_textpage().get_text_bounded())
    page.close()
