"""The image (S1.12, S4.31), docker-compose.yml (S3.4, S4.31) and railway.json (S1.11)."""

import importlib.resources
import json
import re
import subprocess
import tomllib

import jsonschema
import pytest

from files import ROOT, load, text

DOCKERFILE = text("Dockerfile")
COMPOSE = load("docker-compose.yml")
OURS = {name: service for name, service in COMPOSE["services"].items() if service["image"].startswith("celeriac")}


def test_the_images_steps_go_through_in_a_clean_folder(celeriac):
    ran = subprocess.run([ROOT / "scripts/image-check", "--binary", celeriac], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "celeriac doctor: pdfium" in ran.stdout


def test_image_check_finds_what_is_wrong(celeriac, tmp_path):
    """The same steps with a source that is not there, a package that does not exist, and a step that nobody knows."""
    (tmp_path / "scripts").mkdir()
    for name in ("image-check", "get-pdfium", "steps.sh"):
        (tmp_path / "scripts" / name).write_text(text(f"scripts/{name}"))
    (tmp_path / ".dockerignore").write_text("*\n!scripts\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM debian:latest AS runtime\n"
        "COPY celery_config.toml /etc/celeriac/\n"
        "RUN apt-get install -y no-such-package && curl -s https://example.com/install.sh\n"
    )
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    ran = subprocess.run(["python3", tmp_path / "scripts/image-check", "--binary", celeriac], capture_output=True, text=True)
    assert ran.returncode == 1
    for found in ("based on debian:latest", "COPY celery_config.toml: not in the context", "does not know how to go through: curl"):
        assert re.search(f"FAIL .*{re.escape(found)}", ran.stdout), ran.stdout + ran.stderr


def test_the_image_is_built_with_the_toolchain_of_the_repository():
    channel = tomllib.loads(text("rust-toolchain.toml"))["toolchain"]["channel"]
    assert re.search(r"^ARG RUST_IMAGE=rust:([\d.]+)-", DOCKERFILE, re.M)[1] == channel


def test_the_image_runs_as_nobody_in_particular():
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.M)
    assert user == [("10001", "10001")], "a number, for Kubernetes' runAsNonRoot"
    assert f"--uid {user[0][0]}" in DOCKERFILE


def test_the_image_builds_on_railway_too():
    """Which refuses these two."""
    assert not re.search(r"^VOLUME|--mount=type=cache", DOCKERFILE, re.M)


def test_the_version_is_the_programs():
    assert re.search(r"^ARG VERSION=(.+)$", DOCKERFILE, re.M)[1] == tomllib.loads(text("Cargo.toml"))["workspace"]["package"]["version"]


def compose_schema():
    folder = importlib.resources.files("check_jsonschema.builtin_schemas.vendor")
    return json.loads((folder / "compose-spec.json").read_text())


def test_compose_is_right_by_the_schema_of_compose():
    jsonschema.validate(COMPOSE, compose_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"redis": {"image": "redis:7", "restarts": "always"}}}, compose_schema())


def test_redis_keeps_everything():
    redis = COMPOSE["services"]["redis"]
    assert "--appendonly yes" in redis["command"] and "--maxmemory-policy noeviction" in redis["command"]
    assert "redis-data:/data" in redis["volumes"] and "ports" not in redis


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_locked_in_and_has_its_folders(name):
    service = OURS[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert "data:/data" in service["volumes"] and "./logs:/app/logs" in service["volumes"]
    assert any(folder.startswith("/tmp") for folder in service["tmpfs"])
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL") and service["restart"] == "unless-stopped"


def test_volumes_and_dependencies_are_there():
    for name, service in COMPOSE["services"].items():
        named = {volume.partition(":")[0] for volume in service.get("volumes", [])} - {"./logs"}
        assert named <= set(COMPOSE["volumes"]), name
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name


def test_the_service_is_published_to_this_machine_only_and_wants_a_key():
    serve = OURS["serve"]
    assert serve["ports"] == ["${HTTP_BIND:-127.0.0.1}:${HTTP_PORT:-8000}:8000"] and "EXPOSE 8000" in DOCKERFILE
    assert serve["environment"]["CELERIAC_API_KEYS"].startswith("${CELERIAC_API_KEYS:?")


def test_postgres_is_only_there_for_who_asks():
    assert COMPOSE["services"]["postgres"]["profiles"] == ["postgres"]
    assert not any("profiles" in service for service in OURS.values())


def test_railway_builds_the_image_and_restarts_what_fails():
    railway = json.loads(text("railway.json"))
    build, deploy = railway["build"], railway["deploy"]
    assert build["builder"] == "DOCKERFILE" and (ROOT / build["dockerfilePath"]).is_file()
    assert (deploy["restartPolicyType"], deploy["restartPolicyMaxRetries"]) == ("ON_FAILURE", 3)
    assert set(deploy) <= {"startCommand", "restartPolicyType", "restartPolicyMaxRetries", "drainingSeconds"}
