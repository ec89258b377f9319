"""A worker has left before the platform kills it: the platform's grace and the program's are the same everywhere."""

import json

import pytest

from files import PLATFORMS, SETTINGS, UNITS, load, pods, text, unit, variables

SHIPPED = SETTINGS["celeriac"]["shutdown_grace"]


@pytest.mark.parametrize("command", [pytest.param(c, id=c.where) for c in PLATFORMS["render"]()])
def test_render(command):
    service = next(s for s in load("render.yaml")["services"] if s["name"] == command.where.rpartition(" ")[2])
    assert int(command.env["CELERIAC_SHUTDOWN_GRACE"]) == service["maxShutdownDelaySeconds"]


def test_compose():
    for name, service in load("docker-compose.yml")["services"].items():
        if "celeriac" in service["image"]:
            assert service["stop_grace_period"] == f"{SHIPPED}s", name


def test_railway():
    assert json.loads(text("railway.json"))["deploy"]["drainingSeconds"] == SHIPPED


@pytest.mark.parametrize("path", sorted(UNITS.glob("*.service")), ids=lambda path: path.name)
def test_systemd(path):
    values = {key: value for _, key, value in unit(path)}
    assert values["Environment"] == f"CELERIAC_SHUTDOWN_GRACE={values['TimeoutStopSec']}"


def test_kubernetes():
    grace = int(variables(text("deploy/k8s/base/config.env"))["CELERIAC_SHUTDOWN_GRACE"])
    for file, _, spec in pods():
        container = spec["containers"][0]
        if container["image"] == "celeriac":
            before = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            assert spec["terminationGracePeriodSeconds"] == grace + int(before[1]), file
