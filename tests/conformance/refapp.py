"""The reference: a plain Python Celery app that serves the suite's tasks, with the settings the suite gives its own worker."""

import os

from celery import Celery

app = Celery("conformance-reference")
app.conf.update(
    broker_url=os.environ["TEST_BROKER"],
    result_backend=os.environ["TEST_BACKEND"],
    result_extended=True,
    accept_content=["json"],
    enable_utc=True,
    timezone="UTC",
    broker_heartbeat=0,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    worker_log_color=False,
    imports=["t.integration.tasks"],
)


@app.on_after_finalize.connect
def _class_based(sender, **kwargs):
    from t.integration.tasks import ClassBasedAutoRetryTask

    sender.register_task(ClassBasedAutoRetryTask())
