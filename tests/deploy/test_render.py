"""render.yaml (S1.11, S2.8, S2.15): its fields, and what they point at."""

import copy

import jsonschema
import pytest

from files import load
from render_schema import BLUEPRINT

RENDER = load("render.yaml")
SERVICES = {service["name"]: service for service in RENDER["services"]}
VARIABLES = [(service["name"], var) for service in RENDER["services"] for var in service.get("envVars", [])]


def keys(service):
    return {var["key"] for var in SERVICES[service]["envVars"] if "key" in var}


def test_it_is_a_blueprint():
    jsonschema.validate(RENDER, BLUEPRINT)


def without_allow_list(blueprint):
    del blueprint["services"][0]["ipAllowList"]


def with_health_check_of_a_worker(blueprint):
    next(s for s in blueprint["services"] if s["type"] == "worker")["healthCheckPath"] = "/livez"


def with_too_long_a_grace(blueprint):
    blueprint["services"][1]["maxShutdownDelaySeconds"] = 301


def with_a_question_in_the_group(blueprint):
    blueprint["envVarGroups"][0]["envVars"].append({"key": "SECRET", "sync": False})


@pytest.mark.parametrize(
    "spoil", [without_allow_list, with_health_check_of_a_worker, with_too_long_a_grace, with_a_question_in_the_group]
)
def test_a_mistake_would_be_seen(spoil):
    blueprint = copy.deepcopy(RENDER)
    spoil(blueprint)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(blueprint, BLUEPRINT)


def test_what_it_points_at_is_there():
    groups = {group["name"] for group in RENDER["envVarGroups"]}
    databases = {database["name"] for database in RENDER["databases"]}
    for service, var in VARIABLES:
        origin = var.get("fromService")
        assert var.get("fromGroup") in groups | {None}, service
        assert var.get("fromDatabase", {}).get("name") in databases | {None}, service
        if origin:
            assert SERVICES[origin["name"]]["type"] == origin["type"], service
            assert "envVarKey" not in origin or origin["envVarKey"] in keys(origin["name"]), service


def test_redis_throws_nothing_away_and_is_reached_from_inside_only():
    redis = SERVICES["celeriac-redis"]
    assert (redis["type"], redis["maxmemoryPolicy"], redis["ipAllowList"]) == ("keyvalue", "noeviction", [])


def test_everybody_has_redis_and_the_same_store():
    for name, service in SERVICES.items():
        if service["type"] in ("web", "worker"):
            assert {"REDIS_URL", "CELERIAC_STORE", "AWS_SECRET_ACCESS_KEY"} <= keys(name)
            assert "disk" not in service, "a disk belongs to one service"


def test_all_lies_in_one_region():
    assert len({place["region"] for place in [*RENDER["services"], *RENDER["databases"]]}) == 1


def test_only_the_service_has_keys_of_the_api_and_the_database():
    assert {name for name, var in VARIABLES if var.get("key") in ("CELERIAC_API_KEYS", "DATABASE_URL")} == {"celeriac-web"}
