"""The deployment files as data: what each starts, with which arguments and environment."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = tomllib.loads((ROOT / "celery_config.toml").read_text())
QUEUES = SETTINGS["celeriac"]["queues"]
UNITS = ROOT / "scripts/systemd"
KUBERNETES = ROOT / "deploy/k8s"


class Command(NamedTuple):
    """What is run: where that is written, the words after `celeriac`, how many times, with which environment."""

    where: str
    words: list
    count: int
    env: dict

    @property
    def name(self):
        return next(word for before, word in zip([""] + self.words, self.words) if before != "--config" and not word.startswith("-"))

    def flag(self, *names):
        return next((after for word, after in zip(self.words, self.words[1:]) if word in names), None)

    @property
    def queues(self):
        named = self.flag("-Q", "--queues")
        return named.split(",") if named else QUEUES


def text(path):
    return (ROOT / path).read_text()


def load(path):
    return yaml.safe_load(text(path))


def variables(text, examples=False):
    """NAME=value lines; with `examples` those behind a `#`, too."""
    lines = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]*)=(.*)$" if examples else r"^([A-Z][A-Z0-9_]*)=(.*)$", text, re.M)
    return dict(lines)


def words_after_celeriac(written):
    """The words after `celeriac`, of a list of words or a line of a shell; none where it runs something else."""
    words = written if isinstance(written, list) else shlex.split(written)
    for place, word in enumerate(words):
        if " " in word and "celeriac" in word:
            return words_after_celeriac(word.replace("$$", "$"))
        if Path(word).name == "celeriac":
            return words[place + 1:] or None
    return None


def commands(where, written, count=1, env=None):
    words = words_after_celeriac(written) if written else None
    return [Command(where, words, count, env or {})] if words is not None else []


# ---- one function a platform --------------------------------------------------------------------------------------------------------


def render():
    blueprint = load("render.yaml")
    groups = {group["name"]: {var["key"]: var["value"] for var in group["envVars"]} for group in blueprint["envVarGroups"]}
    found = []
    for service in blueprint["services"]:
        env = {}
        for var in service.get("envVars", []):
            env.update(groups[var["fromGroup"]] if "fromGroup" in var else {var["key"]: var.get("value")})
        found += commands(f"render.yaml: {service['name']}", service.get("dockerCommand"), service.get("numInstances", 1), env)
    return found


def compose():
    found = []
    for name, service in load("docker-compose.yml")["services"].items():
        where = f"docker-compose.yml: {name}"
        found += commands(where, service.get("command"), 1, service.get("environment"))
        found += commands(f"{where}, healthcheck", service.get("healthcheck", {}).get("test"))
    return found


def kubernetes_objects(folder="base"):
    """Every object of a folder's files, with the file's name."""
    kustomization = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        if name.endswith(".yaml"):
            for document in yaml.safe_load_all((KUBERNETES / folder / name).read_text()):
                yield name, document


def pods():
    """(file, object, its pod's spec) of what runs pods."""
    for file, document in kubernetes_objects():
        if document["kind"] in ("Deployment", "StatefulSet"):
            yield file, document, document["spec"]["template"]["spec"]


def kubernetes():
    config = variables(text("deploy/k8s/base/config.env"))
    found = []
    for file, document, spec in pods():
        for container in spec["containers"]:
            where = f"deploy/k8s/base/{file}"
            env = config | {var["name"]: var.get("value") for var in container.get("env", [])}
            found += commands(where, container.get("args"), document["spec"]["replicas"], env)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = container.get(probe, {}).get("exec")
                found += commands(f"{where}, {probe}", asked and asked["command"])
    return found


def unit(path):
    """The lines of a unit as (section, key, value), for a key may stand more than once."""
    section, lines = "", []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            lines.append((section, *line.split("=", 1)))
    return lines


def systemd():
    """The service, and a worker for each queue, as the head of the worker's unit says."""
    found = []
    for path in sorted(UNITS.glob("*.service")):
        lines = unit(path)
        start = next(value for _, key, value in lines if key == "ExecStart")
        env = dict(value.split("=", 1) for _, key, value in lines if key == "Environment")
        for queue in QUEUES if path.stem.endswith("@") else [""]:
            found += commands(f"{path.name} {queue}".strip(), start.replace("%i", queue).replace("%%", "%"), 1, env)
    return found


def railway():
    return commands("railway.json", json.loads(text("railway.json"))["deploy"]["startCommand"])


def image():
    found = []
    for line in text("Dockerfile").splitlines():
        if listed := re.search(r"\bCMD (\[.*\])", line):
            found += commands(f"Dockerfile: {line.split()[0]}", json.loads(listed[1]))
    return found


PLATFORMS = {"render": render, "compose": compose, "kubernetes": kubernetes, "systemd": systemd, "railway": railway, "image": image}


def everything():
    return [command for read in PLATFORMS.values() for command in read()]
