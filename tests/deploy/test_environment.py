"""`.env.example` has every name that the five sources use, and every name that a deployment file sets; the program takes their values.

S0.5 to S0.9, S1.3, S1.4, S2.9 to S2.14, S3.5, S4.16 and S4.17.
"""

import re
import subprocess

import pytest

from files import ROOT, everything, load, text, variables

SOURCES = {
    "S0": "MONGODB_URI REDIS_HOST REDIS_PORT REDIS_PASSWORD",
    "S1": "REDIS_URL JOB_CONCURRENCY",
    "S2": """CELERY_CONCURRENCY CELERY_QUEUES CELERY_LOG_LEVEL CELERY_AUTOSCALE CELERY_AUTOSCALE_MAX CELERY_AUTOSCALE_MIN
             CELERY_BROKER_URL CELERY_RESULT_BACKEND OPENAI_API_KEY""",
    "S3": "REDIS_DB PYTHON_PATH AGENTS_PATH",
    "S4": """MAX_WORKERS MAX_QUEUE_SIZE WORKER_TIMEOUT HEALTH_CHECK_INTERVAL AUTOSCALING_INTERVAL MAX_MEMORY_PER_WORKER MAX_ERROR_RATE
             OCR_WORKERS NLP_WORKERS VALIDATION_WORKERS PREPROCESSING_WORKERS ENVIRONMENT LOG_LEVEL""",
}
# Postgres's and Kubernetes' own.
OTHERS = {"POSTGRES_USER", "POSTGRES_DB", "POD_NAME"}
EXAMPLE = variables(text(".env.example"), examples=True)


@pytest.mark.parametrize("source", SOURCES)
def test_it_has_the_names_of_the_source(source):
    assert set(SOURCES[source].split()) - set(EXAMPLE) == set()


def test_every_name_has_a_word_of_explanation():
    lines = text(".env.example").splitlines()
    entries = [re.match(r"(?:# )?[A-Z][A-Z0-9_]*=", line) is not None for line in lines]
    for place, entry in enumerate(entries):
        first_of_its_group = entry and not entries[place - 1]
        assert not first_of_its_group or lines[place - 1].startswith("# "), lines[place]


def test_it_has_every_name_that_a_deployment_file_sets():
    used = {name for command in everything() for name in command.env}
    used |= {var["key"] for service in load("render.yaml")["services"] for var in service.get("envVars", []) if "key" in var}
    used |= {name for service in load("docker-compose.yml")["services"].values() for name in service.get("environment", {})}
    used |= set(re.findall(r"\$\{([A-Z_]+)", text("docker-compose.yml")))
    for file in ("config.env", "secret.env.example", "secret-serve.env.example"):
        used |= set(variables(text(f"deploy/k8s/base/{file}")))
    assert used - set(EXAMPLE) - OTHERS == set()


def groups(words):
    """The names of the groups of the example whose explanation begins so."""
    found, inside = set(), False
    for line in text(".env.example").splitlines():
        entry = re.match(r"(?:# )?([A-Z][A-Z0-9_]*)=", line)
        inside = inside if entry else line.startswith(f"# {words}")
        found |= {entry[1]} if entry and inside else set()
    return found


def test_what_it_calls_unused_is_no_variable_of_a_setting():
    unused = groups("Not used")
    assert {"MONGODB_URI", "SENTRY_DSN", "PYTHON_PATH"} <= unused
    folders = [ROOT / folder for folder in ("src/config", "src/cli", "app/src/settings", "app/src/args")]
    sources = "".join(file.read_text() for folder in folders for file in folder.rglob("*.rs"))
    assert '"OCR_WORKERS"' in sources, "the settings are looked for where they are"
    assert [name for name in sorted(unused) if f'"{name}"' in sources] == []


def test_what_it_calls_without_effect_the_program_says_so_of(celeriac):
    without = groups("Taken, without effect")
    assert "HEALTH_CHECK_INTERVAL" in without
    for name in without:
        assert re.search(f"{name}: .* has no effect", config_check(celeriac, {name: EXAMPLE[name]}).stdout), name


def test_examples_hold_no_secret():
    for file in (".env.example", "deploy/k8s/base/secret.env.example", "deploy/k8s/base/secret-serve.env.example"):
        for name, value in variables(text(file), examples=True).items():
            assert not value or not re.search("KEY|SECRET|PASSWORD|DSN", name) or name.endswith("_URL"), f"{file}: {name}={value}"


def config_check(celeriac, env):
    command = [celeriac, "config", "check", "--config", ROOT / "celery_config.toml"]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_the_program_takes_what_the_example_says(celeriac):
    ran = config_check(celeriac, {name: value for name, value in EXAMPLE.items() if value and name != "CELERIAC_CONFIG"})
    assert ran.returncode == 0 and "no mistakes" in ran.stdout + ran.stderr, ran.stderr
    # API keys come with the service; until this build has them, their name must at least not be taken for another's.
    assert "did you mean" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("command", [pytest.param(c, id=c.where) for c in everything() if c.env])
def test_the_program_takes_each_deployments_environment(celeriac, command):
    ran = config_check(celeriac, {name: value for name, value in command.env.items() if value and not value.startswith("$")})
    assert ran.returncode == 0 and "did you mean" not in ran.stderr, ran.stderr


def test_a_wrong_value_would_be_seen(celeriac):
    assert config_check(celeriac, {"CELERIAC_SHUTDOWN_GRACE": "soon"}).returncode == 78
