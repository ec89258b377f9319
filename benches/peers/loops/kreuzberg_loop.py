"""kreuzberg_loop.py FILE PAGES DPI FOLDER: each page as an image (PNG, which is what kreuzberg gives) and its text, in one process.

Without OCR, tables, layout or any other model: what is left is what the other ways do.
"""

import sys
from pathlib import Path

from kreuzberg import ExtractionConfig, PageConfig, PdfPageIterator, extract_file_sync

file, pages, dpi, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
config = ExtractionConfig(use_cache=False, enable_quality_processing=False, pages=PageConfig(extract_pages=True))
for page in extract_file_sync(file, config=config).pages:
    (folder / f"{page['page_number']}.txt").write_text(page["content"])
done = 0
with PdfPageIterator(file, dpi) as images:
    for index, image in images:
        (folder / f"{index + 1}.png").write_bytes(image)
        done += 1
assert done == pages, f"{done} of {pages} pages"
