"""The routes of the five sources, by the JSON their own documents show."""

import base64
import io
import json

import pytest
from conftest import Service, same_shape
from PIL import Image


def picture(number):
    """A small PNG, base64."""
    image = Image.new("RGB", (60, 80), (number % 255, 200, 200))
    out = io.BytesIO()
    image.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


# S2, "Large Document Processing".
SUBMITTED = json.loads(
    """{
  "status": "queued",
  "processing_strategy": "batch_parallel",
  "batch_size": 25,
  "estimated_batches": 20,
  "estimated_completion_minutes": 42,
  "status_endpoint": "/batch-status/{job_id}",
  "cancel_endpoint": "/cancel-job/{job_id}"
}"""
)
BATCH_STATUS = json.loads(
    """{
  "job_id": "uuid",
  "status": "processing",
  "progress": 65,
  "current_page": 325,
  "total_pages": 500,
  "batches": {
    "total": 20,
    "completed": 13,
    "active": 2,
    "failed": 0
  },
  "estimated_seconds_remaining": 630,
  "estimated_completion_iso": "2024-01-15T14:30:00"
}"""
)


def test_s2_16_to_18_a_large_document_of_images_is_queued_watched_and_done(service):
    body = {
        "job_id": "5d7e0c1a-large",
        "user_id": "0b1f",
        "images_base64": ["data:image/png;base64," + picture(n) for n in range(60)],
        "num_pages": 60,
        "file_type": "PDF",
    }
    answer = service.post("/process-large-document", json=body)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    same_shape(told, SUBMITTED)
    assert (told["status"], told["processing_strategy"], told["batch_size"], told["estimated_batches"]) == ("queued", "batch_parallel", 25, 3)
    assert told["status_endpoint"] == "/batch-status/5d7e0c1a-large"
    assert told["cancel_endpoint"] == "/cancel-job/5d7e0c1a-large"

    status = service.get(told["status_endpoint"]).json()
    same_shape(status, BATCH_STATUS)
    assert service.job_ended("5d7e0c1a-large")["counts"]["ok"] == 60
    done = service.get(told["status_endpoint"]).json()
    assert (done["status"], done["progress"], done["current_page"], done["total_pages"]) == ("completed", 100, 60, 60)
    assert done["batches"] == {"total": 3, "completed": 3, "active": 0, "failed": 0}
    # The same again is the same job (C8), another under its id is refused.
    assert service.post("/process-large-document", json=body).status_code == 200
    assert service.post("/process-large-document", json={**body, "user_id": "else"}).status_code == 409


def test_s2_16_what_does_not_fit_together_is_refused_with_both_numbers(service):
    body = {"job_id": "wrong", "images_base64": [picture(1)], "num_pages": 500, "file_type": "PDF"}
    answer = service.post("/process-large-document", json=body)
    assert answer.status_code == 422
    assert "500" in answer.json()["detail"] and "1 images" in answer.json()["detail"]
    assert service.post("/process-large-document", data="{").status_code == 400
    assert service.post("/process-large-document", json={"job_id": "none"}).status_code == 422
    assert service.get("/batch-status/nobody").status_code == 404


def test_s2_16_a_pdf_in_a_form_is_taken_too(service):
    path = service.document("form.pdf", 3)
    with path.open("rb") as file:
        answer = service.post("/process-large-document", data={"job_id": "form", "num_pages": "3"}, files={"file": file})
    assert answer.status_code == 200, answer.text
    assert answer.json()["processing_strategy"] == "direct"
    assert service.job_ended("form")["counts"]["ok"] == 3


def test_s2_16_a_form_has_options_beside_its_file(service):
    path = service.document("options.pdf", 2)
    said = {"job_id": "options", "audio": "false", "summary": "false", "dpi": "50", "tags": "a,b", "metadata": '{"m": 1}', "batch_size": "5"}
    with path.open("rb") as file:
        answer = service.post("/process-large-document", data={**said, "extra": "is left alone"}, files={"file": file})
    assert answer.status_code == 200, answer.text
    job = service.job_ended("options")
    assert (job["status"], job["tags"], job["metadata"]) == ("completed", ["a", "b"], {"m": 1})
    for name, value in (("audio", "yes"), ("dpi", '"many"'), ("batch_size", "none")):
        with path.open("rb") as file:
            refused = service.post("/process-large-document", data={name: value}, files={"file": file})
        assert refused.status_code == 422 and refused.json()["detail"].startswith(name), refused.text


def test_s1_6_and_s3_6_of_several_files_all_are_queued_or_none(tmp_path):
    with Service(tmp_path, settings="[celeriac]\nmax_queue_size = 3\n") as service:
        path = str(service.document("several.pdf", 1))
        assert service.post("/v1/jobs", json={"source": {"kind": "path", "path": path}}).status_code == 202
        files = [("files", (f"{n}.pdf", service.document(f"{n}.pdf", 1).read_bytes())) for n in range(3)]
        uploaded = service.post("/api/documents/async-upload", files=files)
        named = service.post("/api/pipeline/process", json={"files": [{"path": path}] * 3})
        assert (uploaded.status_code, named.status_code) == (429, 429), (uploaded.text, named.text)
        assert len(service.get("/v1/jobs").json()["jobs"]) == 1
        assert len(service.post("/api/documents/async-upload", files=files[:2]).json()["jobs"]) == 2


def test_s2_16_a_pdf_in_the_body_is_taken_too(service):
    text = base64.b64encode(service.document("body.pdf", 3).read_bytes()).decode()
    answer = service.post("/process-large-document", json={"job_id": "body", "pdf_base64": text, "num_pages": 3})
    assert answer.status_code == 200, answer.text
    assert service.job_ended("body")["counts"]["ok"] == 3
    large = service.post("/process-large-document", json={"path": "a.pdf", "metadata": {"m": "x" * 70_000}})
    assert large.status_code == 422 and "65536 bytes at most" in large.json()["detail"]


def test_s2_17_nobody_to_work_is_said(idle):
    path = idle.document("a.pdf", 1)
    answer = idle.post("/process-large-document", json={"job_id": "alone", "path": str(path), "num_pages": 100}).json()
    assert answer["estimated_completion_minutes"] is None
    assert answer["warning"] == "no worker consumes page_processing"


def test_s2_20_a_job_is_cancelled_once(idle):
    path = idle.document("b.pdf", 1)
    idle.post("/process-large-document", json={"job_id": "stop", "path": str(path)})
    answer = idle.post("/cancel-job/stop")
    assert (answer.status_code, answer.json()["status"], answer.json()["completed_pages"]) == (200, "cancelled", 0)
    assert idle.post("/cancel-job/stop").status_code == 409
    assert idle.post("/cancel-job/nobody").status_code == 404


def test_s2_19_and_21_the_system_tells_of_itself(service, idle):
    stats = service.get("/batch-stats").json()
    queues = {"default", "page_processing", "batch_processing", "document_orchestration", "audio_generation"}
    assert set(stats["queues"]) == queues
    assert {"waiting", "reserved", "active", "workers"} <= set(stats["queues"]["page_processing"])
    assert {"queued", "processing", "completed", "partial", "failed", "cancelled"} <= set(stats["jobs"])
    health = service.get("/health")
    assert (health.status_code, health.json()["status"], health.json()["workers"]["online"]) == (200, "healthy", 1)
    assert idle.get("/health").json()["status"] == "degraded"


# S1, "Background Job Processing".
UPLOADED = json.loads(
    """{
  "success": true,
  "message": "1 documents queued for processing",
  "jobs": [{
    "jobId": "1",
    "filename": "large-document.pdf",
    "size": 25000000
  }],
  "queueStatus": {
    "waiting": 1,
    "active": 0,
    "completed": 0,
    "failed": 0
  }
}"""
)
UPLOAD_STATUS = json.loads(
    """{
  "id": "1",
  "state": "completed",
  "progress": 100,
  "result": {
    "documentId": "doc_123",
    "status": "COMPLETED",
    "chunks": 50,
    "themes": 8,
    "quotes": 25,
    "insights": 15
  },
  "createdAt": 1234567890,
  "processedAt": 1234567900,
  "finishedAt": 1234567920
}"""
)


def test_s1_6_to_9_files_are_uploaded_and_watched(service):
    path = service.document("large-document.pdf", 4)
    form = {"useAI": "true", "generateSummary": "true", "generateEmbeddings": "true"}
    with path.open("rb") as file:
        answer = service.post("/api/documents/async-upload", data=form, files=[("files", ("large-document.pdf", file))])
    assert answer.status_code == 200, answer.text
    told = answer.json()
    same_shape(told, UPLOADED)
    job = told["jobs"][0]
    assert told["message"] == "1 documents queued for processing"
    assert (job["filename"], job["size"]) == ("large-document.pdf", path.stat().st_size)

    service.job_ended(job["jobId"])
    status = service.get("/api/documents/async-upload", params={"jobId": job["jobId"]}).json()
    same_shape(status, UPLOAD_STATUS)
    assert (status["id"], status["state"], status["progress"]) == (job["jobId"], "completed", 100)
    assert status["result"]["status"] == "COMPLETED" and status["result"]["documentId"].startswith("doc_")
    assert status["createdAt"] <= status["processedAt"] <= status["finishedAt"]
    queue = service.get("/api/documents/async-upload").json()["queueStatus"]
    assert queue["completed"] >= 1 and set(queue) == set(UPLOADED["queueStatus"])


def test_s1_6_several_files_are_several_jobs(service):
    files = [("files", (name, service.document(name, 1).open("rb"))) for name in ("one.pdf", "two.pdf")]
    told = service.post("/api/documents/async-upload", files=files).json()
    assert told["message"] == "2 documents queued for processing"
    assert [job["filename"] for job in told["jobs"]] == ["one.pdf", "two.pdf"]
    for job in told["jobs"]:
        service.job_ended(job["jobId"])


def test_s1_1_what_is_no_document_or_too_large_is_refused(service):
    answer = service.post("/api/documents/async-upload", files=[("files", ("a.pdf", b"MZ, says its name what it may"))])
    assert answer.status_code == 422 and "neither a PDF nor" in answer.json()["detail"]
    large = b"%PDF-1.4\n" + b"0" * 51_000_000
    answer = service.post("/api/documents/async-upload", files=[("files", ("a.pdf", large))])
    assert answer.status_code == 413 and "50 MB" in answer.json()["detail"]
    assert service.post("/api/documents/async-upload", data={"useAI": "true"}).status_code in (400, 422)


# S3, "Redis + BullMQ".
PIPELINE = json.loads(
    """{
  "success": true,
  "jobs": [
    {
      "jobId": "uuid-here",
      "status": "queued",
      "progress": 0,
      "message": "Queued: document.pdf",
      "fileName": "document.pdf"
    }
  ],
  "message": "Started processing 1 file(s)"
}"""
)


def test_s3_6_to_8_files_by_path_are_queued_listed_and_deleted(service):
    path = service.document("document.pdf", 2)
    body = {
        "files": [{"path": str(path), "name": "document.pdf", "size": 1024000, "type": "application/pdf"}],
        "customer": "ACME Corp",
        "tags": ["financial", "Q4-2024"],
        "classification": {"sector": "Technology", "subsector": "Software"},
    }
    told = service.post("/api/pipeline/process", json=body).json()
    same_shape(told, PIPELINE)
    assert (told["message"], told["jobs"][0]["message"]) == ("Started processing 1 file(s)", "Queued: document.pdf")
    job_id = told["jobs"][0]["jobId"]
    job = service.job_ended(job_id)
    assert job["metadata"]["customer"] == "ACME Corp" and job["tags"] == ["financial", "Q4-2024"]
    assert service.get("/api/pipeline/process", params={"jobId": job_id}).json()["status"] == "completed"
    listed = service.get("/api/pipeline/process", params={"limit": 50, "offset": 0}).json()["jobs"]
    assert job_id in [job["jobId"] for job in listed]
    assert service.get("/v1/jobs", params={"tag": "Q4-2024"}).json()["jobs"][0]["job_id"] == job_id
    service.archived(job_id)
    assert service.delete("/api/pipeline/process", params={"jobId": job_id}).json()["success"] is True
    assert service.get("/api/pipeline/process", params={"jobId": job_id}).status_code == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "in/../../secret.pdf"])
def test_s3_6_a_path_outside_the_allowed_folders_is_refused(service, path):
    told = service.post("/api/pipeline/process", json={"files": [{"path": path}]}).json()
    job = service.job_ended(told["jobs"][0]["jobId"])
    assert (job["status"], job["error"]["code"]) == ("failed", "source_refused")


# S0, "Distributed Document Processing".
def test_s0_13_and_14_a_document_is_queued_looked_at_and_acted_on(service):
    path = service.document("zero.pdf", 2)
    with path.open("rb") as file:
        told = service.post("/api/process", files={"file": ("zero.pdf", file)}).json()
    service.job_ended(told["jobId"])
    status = service.get("/api/jobs/status", params={"jobId": told["jobId"]}).json()
    assert (status["status"], status["progress"], status["totalPages"]) == ("completed", 100, 2)
    again = service.post("/api/jobs/status", json={"jobId": told["jobId"], "action": "retry"})
    assert (again.status_code, again.json()["success"]) == (200, True)
    service.job_ended(told["jobId"])
    assert service.post("/api/jobs/status", json={"jobId": told["jobId"], "action": "cancel"}).status_code == 409
    assert service.post("/api/jobs/status", json={"jobId": told["jobId"], "action": "explode"}).status_code == 422
    service.archived(told["jobId"])
    assert service.post("/api/jobs/status", json={"jobId": told["jobId"], "action": "delete"}).json()["status"] == "deleted"
    assert service.get("/api/jobs/status", params={"jobId": told["jobId"]}).status_code == 404
