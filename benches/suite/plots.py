"""Plots as SVG, by hand: readable on a light and on a dark page, no library, the same bytes for the same figures."""

import math
from html import escape

WIDTH, LEFT, RIGHT, ROW = 760, 190, 90, 22
COLOURS = ["#0969da", "#bf8700", "#1a7f37", "#cf222e", "#8250df", "#57606a", "#0a7ea4", "#a04100"]
OURS, LIMITS = ("celeriac", "process", "worker", "render"), ("limit", "floor")
STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 14px } .small { font-size: 11px; fill: #59636e }
.axis { stroke: #d1d9e0; stroke-width: 1 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #3d444d } }
</style>"""


def number(value):
    """A figure as a person reads it: three digits, thousands set apart."""
    if value is None:
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def svg(height, title, body):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, text(10, 20, title, "title"), *body, "</svg>"]) + "\n"


def text(x, y, words, kind="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(str(words))}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="axis"/>'


def scale(values, low, high, log):
    """A function from a value to its place between low and high."""
    most = max(values, default=1) or 1
    if not log:
        return lambda value: low + (high - low) * value / most
    least = 10 ** math.floor(math.log10(min((value for value in values if value > 0), default=1)))
    span = math.log10(most / least) or 1
    return lambda value: low + (high - low) * max(0.0, math.log10(max(value, least) / least)) / span


def bars(title, groups, unit, log=False):
    """Horizontal bars: groups is [(name of the group, [(label, value)])]; what was not measured is left out."""
    values = [value for _, rows in groups for _, value in rows if value]
    place = scale(values, LEFT, WIDTH - RIGHT, log)
    body, y = [], 34
    for name, rows in groups:
        body.append(text(LEFT, y + 14, name, "small"))
        top = y = y + ROW
        for label, value in (row for row in rows if row[1]):
            width = max(2.0, place(value) - LEFT)
            body.append(text(LEFT - 8, y + 14, label, anchor="end"))
            body.append(f'<rect x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" rx="2" fill="{colour(label)}"/>')
            body.append(text(LEFT + width + 6, y + 14, number(value), "small"))
            y += ROW
        body.append(line(LEFT, top, LEFT, y))
    body.append(text(LEFT, y + 16, f"{unit}{', logarithmic' if log else ''}", "small"))
    return svg(y + 28, title, body)


def colour(label):
    """Ours, the machine's own limit, and the others are told apart at a glance."""
    if label.startswith(OURS):
        return COLOURS[0]
    return COLOURS[1] if label.startswith(LIMITS) else COLOURS[5]


def curves(title, series, x_unit, y_unit, log_x=False):
    """Lines over one axis: series is [(label, [(x, y)])]; the y axis begins at 0."""
    series = [(label, points) for label, points in series if points]
    top, bottom = 40, 250
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points]
    across, up = scale(xs, 60, WIDTH - 170, log_x), scale(ys, bottom, top, False)
    most = max(ys, default=1)
    body = [line(60, bottom, WIDTH - 170, bottom)]
    for share in (0.5, 1.0):
        body += [line(60, up(most * share), WIDTH - 170, up(most * share)), text(54, up(most * share) + 4, number(most * share), "small", "end")]
    for x in sorted(set(xs)) if len(set(xs)) <= 6 else (max(xs) / 2, max(xs)):
        body.append(text(across(x), bottom + 16, number(x), "small", "middle"))
    for at, (label, points) in enumerate(series):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>' for x, y in points if len(points) <= 6]
        body.append(f'<rect x="{WIDTH - 158}" y="{top + at * 20 - 10}" width="10" height="10" rx="2" fill="{colour}"/>')
        body.append(text(WIDTH - 142, top + at * 20, label))
    body.append(text(60, bottom + 36, f"{y_unit}, over {x_unit}", "small"))
    return svg(bottom + 46, title, body)
