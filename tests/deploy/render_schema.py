"""Render's Blueprint as a JSON Schema, as far as this repository uses it, written from Render's reference of fields.

Render publishes a schema of its own (the address is in render.yaml's first line); editors and `render blueprints validate` judge by that.
This one needs no network, and is stricter: what it does not name is refused.
"""

NAME = {"type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$"}
REGION = {"enum": ["oregon", "ohio", "virginia", "frankfurt", "singapore"]}
DATABASE_PLANS = ["free", "basic-256mb", "basic-1gb", "basic-4gb", "pro-4gb", "pro-8gb", "pro-16gb", "pro-32gb", "pro-64gb"]


def fields(required, **properties):
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


IP_ALLOW_LIST = {"type": "array", "items": fields(["source"], source={"type": "string"}, description={"type": "string"})}
# An environment group cannot point at services, nor ask.
PLAIN_VARIABLE = {"oneOf": [
    fields(["key", "value"], key={"type": "string"}, value={"type": ["string", "number", "boolean"]}),
    fields(["key", "generateValue"], key={"type": "string"}, generateValue={"const": True}),
]}
FROM_SERVICE = {"oneOf": [
    fields(["type", "name", "property"], type={"const": "keyvalue"}, name=NAME, property={"enum": ["host", "port", "connectionString"]}),
    fields(["type", "name", "property"], type={"enum": ["web", "pserv"]}, name=NAME, property={"enum": ["host", "port", "hostport"]}),
    fields(["type", "name", "envVarKey"], type={"enum": ["web", "pserv", "worker"]}, name=NAME, envVarKey={"type": "string"}),
]}
FROM_DATABASE = fields(
    ["name", "property"], name=NAME, property={"enum": ["connectionString", "host", "port", "user", "password", "database"]}
)
VARIABLE = {"oneOf": [
    *PLAIN_VARIABLE["oneOf"],
    fields(["key", "sync"], key={"type": "string"}, sync={"const": False}),
    fields(["key", "fromService"], key={"type": "string"}, fromService=FROM_SERVICE),
    fields(["key", "fromDatabase"], key={"type": "string"}, fromDatabase=FROM_DATABASE),
    fields(["fromGroup"], fromGroup=NAME),
]}
PROGRAM = {
    "name": NAME,
    "runtime": {"const": "docker"},
    "region": REGION,
    "plan": {"enum": ["starter", "standard", "pro", "pro plus", "pro max", "pro ultra"]},
    "numInstances": {"type": "integer", "minimum": 1},
    "dockerCommand": {"type": "string"},
    "dockerfilePath": {"type": "string"},
    "dockerContext": {"type": "string"},
    "autoDeployTrigger": {"enum": ["commit", "checksPass", "off"]},
    "maxShutdownDelaySeconds": {"type": "integer", "minimum": 1, "maximum": 300},
    "envVars": {"type": "array", "items": VARIABLE},
}
SERVICE = {"oneOf": [
    fields(["type", "name", "runtime"], type={"const": "web"}, healthCheckPath={"type": "string", "pattern": "^/"}, **PROGRAM),
    fields(["type", "name", "runtime"], type={"const": "worker"}, **PROGRAM),
    fields(
        ["type", "name", "ipAllowList"],
        type={"const": "keyvalue"},
        name=NAME,
        region=REGION,
        plan={"enum": ["free", "starter", "standard", "pro", "pro plus"]},
        maxmemoryPolicy={"enum": ["allkeys-lru", "volatile-lru", "allkeys-random", "volatile-random", "volatile-ttl", "noeviction"]},
        ipAllowList=IP_ALLOW_LIST,
    ),
]}
DATABASE = fields(
    ["name"],
    name=NAME,
    region=REGION,
    plan={"enum": DATABASE_PLANS},
    databaseName={"type": "string"},
    user={"type": "string"},
    postgresMajorVersion={"type": "string"},
    diskSizeGB={"type": "integer", "minimum": 1},
    ipAllowList=IP_ALLOW_LIST,
)
BLUEPRINT = fields(
    ["services"],
    services={"type": "array", "items": SERVICE},
    databases={"type": "array", "items": DATABASE},
    envVarGroups={"type": "array", "items": fields(["name", "envVars"], name=NAME, envVars={"type": "array", "items": PLAIN_VARIABLE})},
)
