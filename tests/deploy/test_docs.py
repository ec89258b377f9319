"""docs/deploy.md speaks of what there is: its files, its alerts, its links, and the graces of each platform."""

import re

import pytest

from files import ROOT, load, text

PAGE = text("docs/deploy.md")


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", page, re.M)}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https:)([^)]+)\)", PAGE))))
def test_links_lead_somewhere(link):
    file, _, anchor = link.partition("#")
    page = text(f"docs/{file}") if file else PAGE
    assert not anchor or anchor in anchors(page)


def test_every_file_of_a_deployment_is_spoken_of():
    for path in ("Dockerfile", "docker-compose.yml", ".env.example", "render.yaml", "railway.json", "scripts/systemd", "scripts/image-check",
                 "deploy/k8s/base", "deploy/k8s/keda", "deploy/prometheus/prometheus.yml", "deploy/prometheus/alerts.yaml",
                 "deploy/grafana/celeriac.json"):
        assert (ROOT / path).exists() and path in PAGE, path


def test_every_alert_has_a_line_that_says_what_to_do():
    alerts = {rule["alert"] for group in load("deploy/prometheus/alerts.yaml")["groups"] for rule in group["rules"]}
    assert set(re.findall(r"`(Cele[a-z]+[A-Z]\w+)`", PAGE)) == alerts


def test_renders_services_and_plans_are_those_of_the_file():
    blueprint = load("render.yaml")
    for service in [*blueprint["services"], *blueprint["databases"]]:
        line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{service['name']}`"))
        count = re.search(r"` × (\d+)", line)
        assert service["plan"] in line and int(count[1] if count else 1) == service.get("numInstances", 1), line
