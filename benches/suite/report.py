"""Writes docs/performance.md: the generated parts stand between markers, everything else on the page is left as it is.

    <!-- bench:NAME -->
    …
    <!-- /bench:NAME -->
"""

import re
from pathlib import Path

import plots
import targets
from plots import number
from results import PARTS

PLOTS = "performance"
METRICS = {
    "noop": [("rate", "tasks/s"), ("worker_cpu_s_per_1000", "worker CPU, s/1,000"), ("redis_cpu_s_per_1000", "Redis CPU, s/1,000"),
             ("cmds_per_task", "commands a task"), ("roundtrips_per_task", "round trips a task"), ("pss_mib", "PSS, MiB")],
    "latency": [("p50", "median, ms"), ("p99", "99 %, ms"), ("max", "maximum, ms")],
    "chord": [("drain_s", "preloaded, s"), ("live_s", "with its client, s"), ("cmds_per_task", "commands a task")],
    "eta": [("served_s", "the 1,000 served, s"), ("pss_mib", "PSS, MiB"), ("in_memory", "messages held"), ("idle_cpu_pct", "CPU then, %")],
    "io": [("rate", "tasks/s"), ("share_of_ideal", "of the ideal"), ("conc", "slots"), ("pss_mib", "PSS, MiB")],
    "payload": [("mb_s", "MB/s"), ("worker_cpu_s_per_mb", "worker CPU, s/MB"), ("pss_mib", "PSS, MiB")],
    "startup": [("startup_s", "first result, s"), ("idle_cmds_s", "idle commands/s"), ("idle_other_cmds_s", "… besides lease and heartbeat"),
                ("idle_cpu_pct", "idle CPU, %"), ("pss_mib", "PSS, MiB")],
}
METRICS["result"], METRICS["latency_fixed"] = METRICS["noop"], METRICS["latency"]
SCENARIOS = {
    "noop": "No-op tasks, a queue drained", "result": "The same with results stored", "latency": "One task at a time, push to result",
    "latency_fixed": "The same beside 300 tasks a second", "chord": "A chord of 1,000", "eta": "1,000 tasks behind 20,000 due in an hour",
    "startup": "Start, and at rest", "io": "Sleeps of 50 ms", "payload": "Payloads of 1 MiB",
}
PAGES = [("pages_per_cpu_s", "pages per CPU-s"), ("pages_per_s", "pages/s"), ("pss_mib", "PSS, MiB"), ("rss_mib", "largest process (RSS), MiB")]
ORCHESTRATION = [("pages", "pages"), ("cpu_ms_per_page", "CPU a page, ms"), ("wall_ms_per_page", "wall a page, ms"),
                 ("redis_commands_per_page", "Redis commands a page"), ("pss_mib", "PSS, MiB")]


# -- tables --------------------------------------------------------------------
def table(heads, rows):
    head = f"| {' | '.join(heads)} |\n|{'---|'}{'---:|' * (len(heads) - 1)}"
    return "\n".join([head, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def measured(part, piece, metrics, against=None):
    """A piece's table: a row a way, medians; with the ratio to another way's first figure where asked for."""
    first = metrics[0][0]
    rows = []
    for way in part.ways(piece):
        values = [part.median(piece, way, key) for key, _ in metrics]
        if all(value is None for value in values):
            rows.append([way, part.why_not(piece, way).split("\n")[0][:160], *[""] * (len(metrics) - 1 + bool(against))])
            continue
        beside = [number(part.ratio(piece, first, way, against))] if against else []
        rows.append([way, number(values[0]), *beside, *map(number, values[1:])])
    heads = [head for _, head in metrics]
    return table(["", heads[0], *([f"× {against}"] if against else []), *heads[1:]], rows)


def target_table(verdicts):
    rows = []
    for v in verdicts:
        t = v.target
        sign = "≥" if t.least else "≤"
        floor = f"{sign} {t.floor:g}" if t.floor is not None else ""
        unit = f" {t.unit}" if t.unit else ""
        both = f"{number(v.ours)} : {number(v.theirs)}{unit}" if t.against else f"{number(v.ours)}{unit}"
        said = v.verdict if v.value is not None else v.verdict.split("\n")[0][:160]
        rows.append([t.what, both if v.value is not None else "", number(v.value), f"{sign} {t.aim:g}", floor, f"**{said}**" if said == "missed" else said])
    return table(["what", "medians", "ratio or value", "aim", "floor", ""], rows)


# -- the parts of the page -------------------------------------------------------
def machine_text(parts):
    lines = []
    for name in PARTS:
        m = parts[name].data.get("machine")
        if not m:
            lines.append(f"- {name}: not measured yet.")
            continue
        versions = ", ".join(f"{program} {version.removeprefix('rustc ')}" for program, version in m["versions"].items())
        of = f"{parts[name].data['rounds']} round(s), load before {m['load']}"
        lines.append(f"- {name}: {m['when']}, {of}; {m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB; {m['system']}, Linux {m['kernel']}. {versions}.")
    return "\n".join(lines)


def runtime_text(parts, plot):
    part = parts["runtime"]
    if part.empty:
        return "Not measured yet."
    absent = [f"Not here: {way} ({why})." for way, why in part.data["absent"].items()]
    out = [*absent, *rate_plots(part, plot)]
    for piece in part.pieces():
        out += [f"### {SCENARIOS.get(piece, piece)}", measured(part, piece, METRICS[piece], targets.PREFORK)]
    return "\n\n".join(out)


def rate_plots(part, plot):
    groups = [(SCENARIOS[piece], [(way, part.median(piece, way, "rate")) for way in part.ways(piece)]) for piece in ("noop", "result")]
    rates = plot("rates", "tasks a second by worker", plots.bars("Tasks a second", groups, "tasks/s", log=True))
    late = [(SCENARIOS[piece], [(f"{way} {name}", part.median(piece, way, key)) for way in part.ways(piece) for key, name in (("p50", "median"), ("p99", "99 %"))])
            for piece in ("latency", "latency_fixed")]
    return [rates, plot("latency", "latency by worker", plots.bars("Push to result", late, "ms", log=True))]


def documents_text(parts, plot):
    part = parts["documents"]
    if part.empty:
        return "Not measured yet."
    whole = [piece for piece in part.pieces() if not piece.startswith("orchestration") and piece not in ("first", "scaling")]
    groups = [(piece, [(way, part.median(piece, way, "pages_per_cpu_s")) for way in part.ways(piece)]) for piece in whole]
    out = [f"Not here: {way} ({why})." for way, why in part.data["absent"].items()]
    out.append(plot("pages", "pages per CPU-second by way", plots.bars("Pages per CPU-second", groups, "pages/CPU-s")))
    for piece in whole:
        pages = part.median(piece, part.ways(piece)[0], "pages")
        of_floor = [f"{way} {number(part.ratio(piece, 'pages_per_cpu_s', way, 'floor'))}" for way in part.ways(piece) if way != "floor"]
        out += [f"### {piece}, {number(pages)} pages", measured(part, piece, PAGES, "celery-batch"), f"Pages per CPU-second, of the floor's: {', '.join(of_floor)}."]
    return "\n\n".join([*out, *memory_text(part, plot), *scaling_text(part), *orchestration_text(part, plot)])


def memory_text(part, plot):
    runs = [run for run in part.data["runs"] if run["piece"] == "fullrefman" and run["round"] == 1 and "figures" in run]
    series = [(run["way"], [(at, rss) for at, _, rss in run["figures"].get("memory_over_time", [])]) for run in runs]
    drawn = plots.curves("Largest process, the whole of fullrefman.pdf", series, "seconds", "RSS, MiB")
    return ["### Memory over a long document", plot("memory", "largest process over time", drawn)] if runs else []


def scaling_text(part):
    out = []
    if part.ways("scaling"):
        out += ["### From one page worker to two", measured(part, "scaling", [("pages_per_s", "pages/s"), ("wall_s", "wall, s"), ("cpu_s", "CPU, s")], "worker-1")]
    if part.ways("first"):
        out += ["### The first page's result", measured(part, "first", [("first_page_s", "exec to its record in the store, s"), ("slowest_s", "slowest, s")])]
    return out


def orchestration_text(part, plot):
    pieces = [piece for piece in part.pieces() if piece.startswith("orchestration")]
    if not pieces:
        return []
    ways = part.ways(pieces[0])
    rows = [[f"{way}, {number(part.median(piece, way, 'pages'))}", *(number(part.median(piece, way, key)) for key, _ in ORCHESTRATION[1:])]
            for way in ways for piece in pieces]
    series = [(way, [(pages, cost) for piece in pieces if (pages := part.median(piece, way, "pages")) and (cost := part.median(piece, way, "cpu_ms_per_page"))])
              for way in ways]
    drawn = plots.curves("CPU a page, empty pages, no analysis", series, "pages (logarithmic)", "ms", log_x=True)
    heads = ["way, pages", *(head for _, head in ORCHESTRATION[1:])]
    return ["### What orchestration itself costs", plot("orchestration", "CPU a page by number of pages", drawn), table(heads, rows)]


def model_text(parts, _):
    part = parts["model"]
    keys = [("of_ideal", "wall, of the ideal"), ("wall_s", "wall, s"), ("ideal_s", "ideal, s"), ("most_at_once", "questions at once"), ("cpu_s", "CPU, s"), ("pss_mib", "PSS, MiB")]
    return measured(part, "model", keys) if not part.empty else "Not measured yet."


def micro_text(parts, _):
    part = parts["micro"]
    if part.empty:
        return "Not measured yet."
    rows = [[way, *(duration(part.median(piece, way, key)) for key in ("fastest_ns", "median_ns")), number(part.median(piece, way, "allocations"))]
            for piece in part.pieces() for way in part.ways(piece)]
    return table(["", "fastest", "median", "allocations"], rows)


def duration(nanoseconds):
    if nanoseconds is None:
        return "–"
    size, unit = next((pair for pair in ((1e6, "ms"), (1e3, "µs")) if nanoseconds >= pair[0]), (1, "ns"))
    return f"{number(nanoseconds / size)} {unit}"


# -- the page --------------------------------------------------------------------
def write(page, parts):
    """Puts the generated parts into the page, and the plots beside it."""
    page = Path(page)
    folder = page.parent / PLOTS

    def plot(name, what, drawn):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.svg").write_text(drawn)
        return f"![{what}]({PLOTS}/{name}.svg)"

    verdicts = targets.judge_all(parts)
    sections = {
        "machine": machine_text(parts),
        "targets": target_table(verdicts),
        "runtime": runtime_text(parts, plot),
        "documents": documents_text(parts, plot),
        "model": model_text(parts, plot),
        "micro": micro_text(parts, plot),
    }
    whole = page.read_text()
    for name, body in sections.items():
        whole = put(whole, name, body)
    page.write_text(whole)
    return verdicts


def put(page, name, body):
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    if begin not in page or end not in page:
        raise SystemExit(f"the page has no part {begin} … {end} to write the figures into; put both lines back")
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n\n{body}\n\n{end}", page, flags=re.S)
