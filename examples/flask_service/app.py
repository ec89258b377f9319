"""A web service that hands documents to celeriac workers, with nothing but Flask and Celery.

    POST /documents         {"path": …} or {"url": …} or {"store_key": …}, {"images_base64": […]} or {"pdf_base64": …},
                            or a file upload
    GET  /documents/<id>    its state, its progress, and in the end its result
"""

import json
import os
import uuid
from pathlib import Path

from celery import Celery
from flask import Flask, jsonify, request, url_for

SOURCES = ("path", "url", "store_key", "images_base64", "pdf_base64")
OPTIONS = (
    "job_id", "password", "file_name", "pages", "batch_size", "dpi", "ocr", "ocr_languages", "analysis", "model",
    "summary", "audio", "voice", "user_id", "tags", "metadata", "priority",
)  # fmt: skip

app = Flask(__name__)
app.config["UPLOAD_FOLDER"] = os.environ.get("UPLOAD_FOLDER", "uploads")

# The client has no task of its own: it calls celeriac's by name, and reads results as of any Celery task.
celery = Celery(
    "flask_service",
    broker=os.environ.get("CELERY_BROKER_URL", "redis://localhost:6379/0"),
    backend=os.environ.get("CELERY_RESULT_BACKEND", "redis://localhost:6379/0"),
)
celery.conf.task_routes = {"tasks.process_document": {"queue": "document_orchestration"}}


@app.post("/documents")
def submit():
    try:
        given = asked_for()
    except ValueError:
        return jsonify(error="what is asked for is a JSON object"), 400
    kwargs = {name: given[name] for name in SOURCES if name in given}
    if len(kwargs) != 1:
        return jsonify(error=f"say one of {', '.join(SOURCES)}, or upload a file"), 400
    kwargs.update({name: given[name] for name in OPTIONS if name in given})

    result = celery.send_task("tasks.process_document", kwargs=kwargs)
    location = url_for("show", task_id=result.id)
    return jsonify(task_id=result.id, status_url=location), 202, {"Location": location}


@app.get("/documents/<task_id>")
def show(task_id):
    result = celery.AsyncResult(task_id)
    # One read: state and info of two reads might belong to two moments.
    meta = result.backend.get_task_meta(task_id)
    state, info = meta["status"], meta["result"]
    answer = {"task_id": task_id, "state": state}
    if state == "PROGRESS":
        answer["progress"] = info
    elif state == "SUCCESS":
        answer["result"] = info
    elif state == "FAILURE":
        answer["error"] = {"type": type(info).__name__, "message": str(info.args[0]) if info.args else str(info)}
    return jsonify(answer)


def asked_for():
    """The JSON object of the body, or of an upload's field `options`."""
    if "file" not in request.files:
        given = request.get_json(silent=True)
    else:
        given = json.loads(request.form.get("options", "{}"))
    if not isinstance(given, dict):
        raise ValueError("not an object")
    if "file" in request.files:
        upload = request.files["file"]
        given = {"file_name": upload.filename, **given, "path": save_upload(upload)}
    return given


def save_upload(upload):
    """Keeps an upload where the workers may read it, under a name that no client chose."""
    folder = Path(app.config["UPLOAD_FOLDER"]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}{Path(upload.filename or '').suffix[:8].lower()}"
    upload.save(path)
    return str(path)
