"""Which metrics there are: those that a worker registers, read from its source, and those that the service is to have."""

import re

import promql_parser

from files import text

# `celeriac serve`, beside what a worker has; without the endings of histograms.
SERVICE = set(
    """
    celery_active_consumer_count
    celery_task_queue_wait_time
    celeriac_jobs celeriac_job_duration_seconds celeriac_job_eta_error_ratio
    celeriac_pages_total celeriac_page_stage_seconds celeriac_pages_per_minute celeriac_batches_total
    celeriac_llm_requests_total celeriac_llm_tokens_total celeriac_llm_cost_usd_total celeriac_llm_throttle_seconds_total
    celeriac_circuit_open celeriac_tts_seconds_total celeriac_cache_total
    celeriac_webhook_deliveries_total celeriac_blob_bytes_total
    celeriac_http_requests_total celeriac_http_request_seconds celeriac_sse_clients
    """.split()
)
# What Prometheus adds to each target.
PROMETHEUS = {"up"}


def of_workers():
    """The names in src/metrics, as they are scraped: counters end in _total, the information in _info."""
    families, process, steps = (text(f"src/metrics/{file}.rs") for file in ("families", "process", "mod"))
    names = set(re.findall(r'"((?:celery|celeriac)_[a-z_]+)"', families)) | set(re.findall(r'"(process_[a-z_]+)"', process))
    counters = {"celeriac_child_restarts", "celeriac_autoscale", "process_cpu_seconds"}
    tasks = {f"celery_task_{step}_total" for step in re.findall(r'Self::\w+,\s*"(\w+)"', steps)}
    assert counters <= names and len(tasks) == 8
    return (names - counters - {"celeriac_build"}) | {f"{name}_total" for name in counters} | tasks | {"celeriac_build_info"}


KNOWN = of_workers() | SERVICE | PROMETHEUS


def selectors(expression):
    """Every selector of series in an expression: (name, labels that it looks at)."""
    found, seen = [], [promql_parser.parse(expression)]
    while seen:
        part = seen.pop()
        if isinstance(part, promql_parser.VectorSelector):
            found.append((part.name, [matcher.name for matcher in part.matchers.matchers]))
            continue
        for below in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
            value = getattr(part, below, None)
            seen += value if isinstance(value, list) else [value] if value is not None else []
    return found


def unknown(expression):
    """The names in an expression that nothing has."""
    names = [name for name, _ in selectors(expression)]
    assert names, expression
    return [name for name in names if name not in KNOWN and re.sub("_(bucket|sum|count)$", "", name) not in KNOWN]
