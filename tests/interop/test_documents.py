"""A plain Python Celery client sends documents to celeriac workers, one worker for each queue."""

import pytest
from celery.exceptions import TimeoutError as ResultTimeout

from processes import wait_until

ORCHESTRATION = "document_orchestration"


def send(client, path, **options):
    return client.send_task("tasks.process_document", kwargs={"path": str(path), **options}, queue=ORCHESTRATION)


def watch(result, workers, seconds, seen=None):
    """Follows a result to its end as a caller would; returns every PROGRESS it saw, in order of sight."""
    progress = []

    def ended():
        for worker in workers:
            worker.check()
        # Both of one look: between two, the result may have come.
        meta = result.backend.get_task_meta(result.id)
        state, info = meta["status"], meta["result"]
        if state == "PROGRESS" and (not progress or progress[-1] != info):
            progress.append(info)
            if seen:
                seen(info)
        return state in ("SUCCESS", "FAILURE", "REVOKED")

    wait_until(ended, seconds, f"the document's result (last seen: {progress[-1:]})", poll=0.02)
    return progress


def assert_whole(result, pages):
    """The compact result has a slot for every page, in order, and every page is ok."""
    answer = result.get(timeout=10)
    assert answer["job"]["status"] == "completed", answer["job"]
    assert answer["counts"]["total"] == pages
    assert answer["counts"]["ok"] + answer["counts"]["cached"] == pages
    assert [page["page"] for page in answer["pages"]] == list(range(1, pages + 1))
    assert {page["status"] for page in answer["pages"]} == {"ok"}
    return answer


def test_a_python_client_sees_progress_and_then_the_compact_result(client, deployment, real_document):
    result = send(client, real_document("debian-reference.ja.pdf"))

    progress = watch(result, deployment.values(), 300)

    assert progress, "PROGRESS was never seen"
    assert all(info["total"] == 272 for info in progress if info.get("total"))
    counts = [info["current"] for info in progress]
    assert counts == sorted(counts), "progress went backwards"
    assert any(0 < count < 272 for count in counts)
    answer = assert_whole(result, 272)
    assert answer["schema_version"].startswith("1.")
    assert not any((page.get("text") or {}).get("content") for page in answer["pages"]), "the compact result carries text"
    assert answer["summary"]["executive"]


def test_a_small_document_goes_the_direct_way(client, deployment, make_pdf):
    result = send(client, make_pdf("small.pdf", 12))

    watch(result, deployment.values(), 120)

    answer = assert_whole(result, 12)
    assert answer["batches"] == [] or len(answer["batches"]) == 1


def test_the_last_batch_may_be_short(client, deployment, make_pdf):
    result = send(client, make_pdf("short-batch.pdf", 60))

    watch(result, deployment.values(), 120)

    answer = assert_whole(result, 60)
    ranges = [(batch["pages"]["from"], batch["pages"]["to"]) for batch in answer["batches"]]
    assert ranges == [(1, 25), (26, 50), (51, 60)]


@pytest.mark.parametrize("queue", ["page_processing", "batch_processing", ORCHESTRATION])
def test_a_worker_killed_in_the_middle_loses_no_page(client, deployment, start_worker, make_pdf, queue):
    survivor = start_worker(f"second_{queue}", [queue])
    workers = [*deployment.values(), survivor]
    result = send(client, make_pdf("killed.pdf", 160))
    killed = []

    def kill_once_it_is_under_way(info):
        if not killed and info["current"] >= 10:
            victim = deployment[queue]
            workers.remove(victim)
            victim.kill_9()
            killed.append(info["current"])

    watch(result, workers, 300, seen=kill_once_it_is_under_way)

    assert killed and killed[0] < 160, "the worker was not killed in the middle"
    assert_whole(result, 160)


def test_a_document_that_is_not_there_is_a_failure_with_its_code(client, deployment, documents):
    result = send(client, documents / "missing.pdf")

    with pytest.raises(Exception) as raised:
        result.get(timeout=60)

    assert not isinstance(raised.value, ResultTimeout)
    assert type(raised.value).__name__ == "DocumentProcessingError"
    assert "missing.pdf" in str(raised.value)
    assert result.state == "FAILURE"


def test_a_warm_stop_exits_with_0(client, deployment, make_pdf):
    result = send(client, make_pdf("before.pdf", 3))
    watch(result, deployment.values(), 60)
    wait_until(lambda: all(" ready." in worker.output() for worker in deployment.values()), 30, "all are up")

    assert [worker.stop() for worker in deployment.values()] == [0] * len(deployment)
