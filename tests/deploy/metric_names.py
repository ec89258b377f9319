"""Which metrics the deployments as shipped tell, read from the sources of the worker and of the service and from the workers' environment."""

import re

import promql_parser

from files import ROOT, compose, kubernetes, text

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


def told_by(worker):
    """The names of a worker that is started so; nothing where it is not scraped."""
    if not worker.flag("--metrics-addr"):
        return set()
    celery = worker.env.get("CELERIAC_METRICS_CELERY_COMPAT") != "false"
    return {name for name in of_workers() if celery or not name.startswith("celery_")}


def registered(file):
    """The names in one of our sources, as they are scraped: a counter's ends in _total, a histogram's endings are left out."""
    names = re.findall(r'"((?:celery|celeriac)_[a-z_]+)"', file.read_text())
    return {*names, *(f"{name}_total" for name in names)}


SERVICE = {name for file in sorted((ROOT / "app/src/metrics").glob("*.rs")) for name in registered(file)}
PROVIDERS = registered(ROOT / "tasks/src/provider/counts.rs")
WORKERS = [command for command in compose() + kubernetes() if command.name == "worker"]
KNOWN = set.intersection(*map(told_by, WORKERS)) | SERVICE | PROVIDERS | PROMETHEUS

# What every service tells of the whole cluster, and of that what workers tell of themselves under the same names.
HEARD = {name for name in registered(ROOT / "app/src/metrics/cluster.rs") & of_workers() if name.startswith("celery_")}
OF_ALL = registered(ROOT / "app/src/metrics/jobs.rs") | {"celeriac_jobs", "celeriac_pages_per_minute", "celeriac_queue_messages"} | HEARD


def counted_twice(expression):
    """The names of `OF_ALL` in an expression that takes something else than the greatest, or the least, over those who tell them."""
    def taken(how, name):
        return re.search(rf"{how}( by \([^)]*\) )?\((rate\(|increase\()?{name}\b", expression)

    names = {name for name in re.findall(r"\bceler(?:y|iac)_[a-z_]+", expression) if OF_ALL & {name, re.sub("_(bucket|sum|count)$", "", name)}}
    return sorted(name for name in names if taken("sum", name) or not taken("(max|min)", name))


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
