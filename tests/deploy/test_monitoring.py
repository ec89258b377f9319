"""Prometheus's configuration and alerts (S4.28), and the Grafana dashboard: expressions that parse, over metrics that exist."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from files import KUBERNETES, ROOT, load, text
from metric_names import KNOWN, WORKERS, counted_twice, of_workers, told_by, unknown

ALERTS = [rule for group in load("deploy/prometheus/alerts.yaml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads(text("deploy/grafana/celeriac.json"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

# What must be watched, and by which alert.
WATCHED = {
    "the mixin's three": ["CeleryTaskHighFailRate", "CeleryHighQueueLength", "CeleryWorkerDown"],
    "worker failures": ["CeleriacTargetDown", "CeleriacChildrenDie"],
    "high error rate": ["CeleriacPagesFail"],
    "resource exhaustion": ["CeleriacRedisMemory", "CeleriacFileDescriptors"],
    "queue overflow": ["CeleriacQueueOverflow"],
    "Redis connection": ["CeleriacRedisDown", "CeleriacRedisUnreachable"],
    "no consumer": ["CeleriacNoConsumer"],
    "stalled job": ["CeleriacJobsStalled"],
    "dead letters": ["CeleriacDeadLetters"],
    "eviction policy": ["CeleriacEvictionPolicy"],
    "cost spike": ["CeleriacCostSpike"],
    "a provider that fails": ["CeleriacCircuitOpen"],
}


def test_the_metrics_of_workers_are_read_from_their_source():
    assert {"celery_queue_length", "celery_task_failed_total", "celeriac_dlq_length", "process_open_fds", "celeriac_build_info"} <= of_workers()


def test_a_worker_that_says_nothing_of_its_tasks_would_be_seen():
    worker = WORKERS[0]
    silent = worker._replace(env={**worker.env, "CELERIAC_METRICS_CELERY_COMPAT": "false"})
    assert "celery_task_failed_total" in told_by(worker) - told_by(silent) and "celeriac_slots" in told_by(silent)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_metrics_that_exist(rule):
    assert unknown(rule["expr"]) == []
    assert rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"].keys() == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_labels_that_its_expression_keeps(rule):
    kept = {label for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in re.split(r",\s*", group)}
    if not re.search(r"\b(sum|max|min)\b", rule["expr"]):
        kept = {"job", "instance"}
    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))) <= kept


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_counts_nothing_once_for_each_service(rule):
    assert counted_twice(rule["expr"]) == []


def test_what_is_counted_twice_would_be_seen():
    assert counted_twice("sum by (outcome) (rate(celeriac_pages_total[5m]))") == ["celeriac_pages_total"]
    assert counted_twice("sum(celeriac_jobs) + max(celeriac_jobs)") == ["celeriac_jobs"]
    assert counted_twice("sum by (queue_name) (celery_active_worker_count)") == ["celery_active_worker_count"]
    assert counted_twice("sum(max by (outcome) (rate(celeriac_pages_total[5m])))") == []


@pytest.mark.parametrize("what", WATCHED)
def test_it_is_watched(what):
    assert set(WATCHED[what]) <= {rule["alert"] for rule in ALERTS}


def test_a_name_that_does_not_exist_would_be_seen():
    assert unknown("sum(rate(celeriac_pages_total[5m])) / celeriac_page_total") == ["celeriac_page_total"]
    with pytest.raises(ValueError):
        unknown("sum(rate(celeriac_pages_total[5m])")


def test_the_thresholds_are_those_of_the_settings():
    expressions = {rule["alert"]: rule["expr"] for rule in ALERTS}
    settings = text("docs/settings.md")
    assert "`celeriac.max_queue_size` | `10000`" in settings and "> 9000" in expressions["CeleriacQueueOverflow"]
    assert "`celeriac.max_error_rate` | `0.1`" in settings and expressions["CeleriacPagesFail"].rstrip().endswith("> 0.1")


@pytest.mark.parametrize(
    "words",
    [
        "check rules deploy/prometheus/alerts.yaml",
        "check config deploy/prometheus/prometheus.yml",
        "test rules tests/deploy/alerts_test.yaml",
    ],
)
def test_prometheus_itself_agrees(words):
    """As cargo-deny, promtool is not asked of every machine: the tests above say most of it."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian: prometheus)")
    ran = subprocess.run(["promtool", *words.split()], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_scrapes_the_services_of_compose():
    prometheus, services = load("deploy/prometheus/prometheus.yml"), load("docker-compose.yml")["services"]
    assert prometheus["rule_files"] == ["alerts.yaml"]
    serve, workers = prometheus["scrape_configs"]
    assert (serve["job_name"], workers["job_name"]) == ("celery-celeriac", "celery-celeriac-workers")
    assert serve["static_configs"][0]["targets"] == ["serve:8000"] and "--port 8000" in services["serve"]["command"]
    found, = workers["dns_sd_configs"]
    assert set(found["names"]) == {name for name in services if name.startswith("worker-")}
    for name in found["names"]:
        assert f"--metrics-addr 0.0.0.0:{found['port']}" in services[name]["command"]


def test_kedas_metric_exists():
    for document in yaml.safe_load_all((KUBERNETES / "keda/scaledobjects.yaml").read_text()):
        assert unknown(document["spec"]["triggers"][0]["metadata"]["query"]) == []


def expressions(panel):
    """Its expressions, with Grafana's variables put in."""
    for target in panel["targets"]:
        yield target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$queue", ".*")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_shows_metrics_that_exist(panel):
    for expression in expressions(panel):
        assert "$" not in expression and unknown(expression) == [] and counted_twice(expression) == []
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_the_dashboard_is_laid_out_without_overlaps():
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_its_variables_are_of_metrics_that_exist():
    asked = [variable["definition"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]
    assert {re.match(r"label_values\((\w+),", definition)[1] for definition in asked} <= KNOWN
