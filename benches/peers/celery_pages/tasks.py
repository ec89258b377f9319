"""The same job in Python: Celery, pypdfium2 and Pillow, as a careful Python programmer would write it.

`peer.batch` opens the document once and does a batch of its pages; `peer.page` is a task a page, and so opens it for each page.
A page is rendered, written as JPEG (quality 85, 4:2:0), and its text is written beside it.
"""

import os
from pathlib import Path

import pypdfium2
from celery import Celery

app = Celery("peer", broker=os.environ.get("CELERY_BROKER_URL"), backend=os.environ.get("CELERY_RESULT_BACKEND"))
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


def one_page(document, number, folder, dpi):
    page = document[number - 1]
    image = page.render(scale=dpi / 72).to_pil()
    image.save(folder / f"{number}.jpg", quality=85)
    text = page.get_textpage().get_text_bounded()
    (folder / f"{number}.txt").write_text(text)
    page.close()
    return {"page": number, "chars": len(text)}


@app.task(name="peer.batch")
def batch(path, first, last, folder, dpi):
    document = pypdfium2.PdfDocument(path)
    try:
        return [one_page(document, number, Path(folder), dpi) for number in range(first, last + 1)]
    finally:
        document.close()


@app.task(name="peer.page")
def page(path, number, folder, dpi):
    document = pypdfium2.PdfDocument(path)
    try:
        return one_page(document, number, Path(folder), dpi)
    finally:
        document.close()


@app.task(name="peer.collect")
def collect(results):
    """The chord's body: the document's pages and characters."""
    pages = [page for result in results for page in (result if isinstance(result, list) else [result])]
    return {"pages": len(pages), "chars": sum(page["chars"] for page in pages)}
