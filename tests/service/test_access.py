"""Who may do what over HTTP: keys and roles, sessions of people, pages of other sites, limits, the trail of what was done."""

import hashlib
import json
import subprocess
from datetime import datetime

import pytest
import requests
from conftest import MEMORY, PROGRAM, Service
from processes import RedisServer, free_port, wait_until

READ, OPERATE, ADMIN = "the-key-of-rita-0123", "the-key-of-otto-0123", "the-key-of-anna-0123"
HASHED = "the-key-of-hans-0123"
KEYS = f"rita:read:{READ},otto:operate:{OPERATE},anna:admin:{ADMIN},hans:read:sha256={hashlib.sha256(HASHED.encode()).hexdigest()}"
OWN = {"X-Celeriac-Request": "1"}


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service with keys; it shares no connection or cookie between requests."""
    settings = '[celeriac.api]\ncors_origins = ["https://app.example"]\nsession_secret = "canary-session-secret"\n'
    with Service(tmp_path_factory.mktemp("guarded"), env={"CELERIAC_API_KEYS": KEYS}, settings=settings) as running:
        yield running


def ask(service, method, path, **options):
    return requests.request(method, service.url + path, timeout=60, allow_redirects=False, **options)


def refused(answer, status, word):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status and word in problem["detail"], problem
    return True


def routes(service):
    """Every route of the document: its method, its path with something in it, and what the document says of it."""
    for path, operations in service.get("/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            filled = path.replace("{page}", "1").replace("{part}", "1").replace("{job_id}", "nobody").replace("{queue}", "default")
            yield method.upper(), filled, operation


OPEN = {"/livez", "/readyz", "/version"}
SOURCES = [
    ("POST", "/process-large-document"),
    ("GET", "/batch-status/a"),
    ("GET", "/batch-stats"),
    ("POST", "/cancel-job/a"),
    ("POST", "/api/documents/async-upload"),
    ("GET", "/api/documents/async-upload"),
    ("POST", "/api/process"),
    ("GET", "/api/jobs/status"),
    ("POST", "/api/jobs/status"),
    ("POST", "/api/pipeline/process"),
    ("DELETE", "/api/pipeline/process"),
    ("GET", "/no/such/route"),
    ("POST", "/no/such/route"),
]


def test_without_a_key_only_what_says_that_it_runs_is_answered(guarded):
    asked = [(method, path) for method, path, _ in routes(guarded)] + SOURCES
    assert len(asked) > 40
    for method, path in asked:
        answer = ask(guarded, method, path)
        if path in OPEN:
            assert answer.status_code == 200, path
        else:
            assert refused(answer, 401, "API key"), path
            assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        bearer("the-key-of-nobody-0123"),
        bearer(""),
        bearer(READ[:-1]),
        bearer(READ + "x"),
        {"X-API-Key": "the-key-of-nobody-0123"},
        {"Authorization": f"Basic {READ}"},
        {"Authorization": READ},
        {"Authorization": f"Bearer {hashlib.sha256(HASHED.encode()).hexdigest()}"},
        {"Authorization": f"Bearer sha256={hashlib.sha256(HASHED.encode()).hexdigest()}"},
        {"Authorization": "Bearer wrong", "X-API-Key": READ},
    ],
)
def test_what_is_not_the_key_is_refused(guarded, headers):
    refused(ask(guarded, "GET", "/v1/jobs", headers=headers), 401, "API key")
    assert ask(guarded, "GET", "/livez", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [bearer(READ), {"X-API-Key": READ}, {"Authorization": f"bearer  {READ}"}, bearer(HASHED)])
def test_a_key_is_sent_in_either_header_and_known_by_its_hash(guarded, headers):
    assert ask(guarded, "GET", "/v1/jobs", headers=headers).status_code == 200


ROLES = [
    ("GET", "/v1/jobs", None, 200, 200, 200),
    ("GET", "/v1/stats", None, 200, 200, 200),
    ("GET", "/v1/dlq", None, 200, 200, 200),
    ("GET", "/v1/audit", None, 403, 403, 200),
    ("POST", "/v1/estimate", {"pages": 5}, 403, 200, 200),
    ("POST", "/v1/jobs", {}, 403, 422, 422),
    ("POST", "/v1/jobs/nobody/cancel", None, 403, 404, 404),
    ("POST", "/v1/jobs/nobody/retry", None, 403, 404, 404),
    ("POST", "/v1/jobs/nobody/resume", None, 403, 404, 404),
    ("DELETE", "/v1/jobs/nobody", None, 403, 404, 404),
    ("POST", "/cancel-job/nobody", None, 403, 404, 404),
    ("POST", "/api/jobs/status", {"jobId": "nobody", "action": "retry"}, 403, 404, 404),
    ("POST", "/v1/dlq/requeue", {"ids": ["none"]}, 403, 200, 200),
    ("POST", "/v1/dlq/discard", {"ids": ["none"]}, 403, 403, 200),
    ("POST", "/v1/queues/default/pause", None, 403, 403, 409),
    ("POST", "/v1/queues/default/resume", None, 403, 403, 409),
]


@pytest.mark.parametrize("method,path,body,read,operate,admin", ROLES)
def test_a_role_may_what_it_says(guarded, method, path, body, read, operate, admin):
    for key, status in ((READ, read), (OPERATE, operate), (ADMIN, admin)):
        answer = ask(guarded, method, path, headers=bearer(key), json=body)
        assert answer.status_code == status, f"{key}: {answer.text}"
        if status == 403:
            refused(answer, 403, "needs the role")


def test_health_tells_strangers_one_word(guarded):
    assert set(ask(guarded, "GET", "/health").json()) == {"status"}
    assert {"status", "redis", "workers", "version"} <= set(ask(guarded, "GET", "/health", headers=bearer(READ)).json())


def test_figures_need_a_key_unless_they_are_open(guarded, tmp_path):
    refused(ask(guarded, "GET", "/metrics"), 401, "API key")
    assert ask(guarded, "GET", "/metrics", headers=bearer(READ)).status_code == 200
    settings = "[celeriac.api]\nmetrics_open = true\n"
    with Service(tmp_path, env={"CELERIAC_API_KEYS": KEYS}, settings=settings) as service:
        assert ask(service, "GET", "/metrics").status_code == 200
        refused(ask(service, "GET", "/v1/jobs"), 401, "API key")


# People.


def log_in(service, key, **headers):
    return ask(service, "POST", "/login", data={"key": key, "next": "/jobs?q=a"}, headers=headers)


def test_a_person_logs_in_acts_and_logs_out(guarded):
    asked = ask(guarded, "GET", "/somewhere?a=b", headers={"Accept": "text/html,*/*"})
    assert (asked.status_code, asked.headers["location"]) == (303, "/login?next=%2Fsomewhere%3Fa%3Db")
    page = ask(guarded, "GET", '/login?next=/"><script>')
    assert page.status_code == 200 and 'method="post"' in page.text and "<script>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]

    wrong = log_in(guarded, "the-key-of-nobody-0123")
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers and "not known" in wrong.text
    inside = log_in(guarded, OPERATE)
    assert (inside.status_code, inside.headers["location"]) == (303, "/jobs?q=a")
    cookie = inside.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200")), cookie
    assert "Secure" not in cookie and OPERATE not in cookie
    assert "Secure" in log_in(guarded, OPERATE, **{"X-Forwarded-Proto": "https"}).headers["set-cookie"]

    session = {"Cookie": cookie.split(";")[0]}
    assert ask(guarded, "GET", "/v1/jobs", headers=session).status_code == 200
    refused(ask(guarded, "GET", "/v1/audit", headers=session), 403, "needs the role admin")
    assert ask(guarded, "POST", "/v1/jobs/nobody/cancel", headers={**session, **OWN}).status_code == 404
    out = ask(guarded, "POST", "/logout", headers=session)
    assert out.status_code == 303 and "celeriac_session=;" in out.headers["set-cookie"] and "Max-Age=0" in out.headers["set-cookie"]


def test_a_session_that_was_touched_or_made_up_is_none(guarded):
    name, until, seal = log_in(guarded, READ).headers["set-cookie"].split(";")[0].split("=", 1)[1].split(".")
    for value in (f"anna.{until}.{seal}", f"{name}.{int(until) + 1}.{seal}", f"{name}.{until}.{'0' * 64}", f"{name}.{until}", ""):
        refused(ask(guarded, "GET", "/v1/jobs", headers={"Cookie": f"celeriac_session={value}"}), 401, "API key")


def test_a_session_ends(tmp_path):
    settings = "[celeriac.api]\nsession_age = 1\n"
    with Service(tmp_path, env={"CELERIAC_API_KEYS": KEYS}, settings=settings) as service:
        session = {"Cookie": log_in(service, READ).headers["set-cookie"].split(";")[0]}
        wait_until(lambda: ask(service, "GET", "/v1/jobs", headers=session).status_code == 401, 10, "the session ends")


ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=str)
def test_a_session_does_nothing_for_another_sites_page(guarded, elsewhere):
    session = {"Cookie": log_in(guarded, ADMIN).headers["set-cookie"].split(";")[0]}
    changing = [(method, path) for method, path, _ in routes(guarded) if method != "GET"] + [s for s in SOURCES if s[0] != "GET"]
    for method, path in changing:
        refused(ask(guarded, method, path, headers={**session, **OWN, **elsewhere}), 403, "another site")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    refused(ask(guarded, "GET", "/v1/jobs/nobody/ws", headers={**session, **elsewhere, **upgrade}), 403, "another site")
    refused(ask(guarded, "POST", "/logout", headers={**session, **elsewhere}), 403, "another site")
    refused(log_in(guarded, ADMIN, **elsewhere), 403, "another site")


def test_a_session_needs_the_header_that_a_form_cannot_send(guarded):
    session = {"Cookie": log_in(guarded, ADMIN).headers["set-cookie"].split(";")[0]}
    own_page = {"Origin": guarded.url, "Sec-Fetch-Site": "same-origin"}
    for method, path, _ in routes(guarded):
        if method != "GET":
            refused(ask(guarded, method, path, headers={**session, **own_page}), 403, "X-Celeriac-Request")
    assert ask(guarded, "POST", "/v1/jobs/nobody/cancel", headers={**session, **own_page, **OWN}).status_code == 404


def test_pages_on_the_list_may_call_with_a_key_and_others_may_not(guarded):
    def asks(origin):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        return ask(guarded, "OPTIONS", "/v1/jobs", headers=headers)

    listed = asks("https://app.example")
    assert listed.status_code == 204 and listed.headers["access-control-allow-origin"] == "https://app.example"
    assert "x-celeriac-request" in listed.headers["access-control-allow-headers"]
    for other in ("https://evil.example", "null", "http://app.example", "https://app.example.evil.example"):
        assert "access-control-allow-origin" not in asks(other).headers
        answer = ask(guarded, "GET", "/v1/jobs", headers={**bearer(READ), "Origin": other})
        assert "access-control-allow-origin" not in answer.headers and answer.headers["vary"] == "origin"
    answer = ask(guarded, "GET", "/v1/jobs", headers={**bearer(READ), "Origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    # Cookies are for pages of our own.
    assert "access-control-allow-credentials" not in answer.headers


# Without keys.


def test_without_keys_this_machine_may_all_and_pages_of_other_sites_nothing(idle):
    assert ask(idle, "POST", "/v1/jobs/nobody/cancel").status_code == 404
    assert ask(idle, "POST", "/v1/jobs/nobody/cancel", headers={"Origin": idle.url}).status_code == 404
    for elsewhere in ELSEWHERE:
        refused(ask(idle, "POST", "/v1/jobs/nobody/cancel", headers=elsewhere), 403, "another site")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", **elsewhere}
        refused(ask(idle, "GET", "/v1/jobs/nobody/ws", headers=upgrade), 403, "another site")
    assert ask(idle, "GET", "/login").headers["location"] == "/"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.1.2.3"])
def test_without_keys_a_name_that_was_made_to_lead_here_is_refused(idle, host):
    for method, path in (("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/batch-stats")):
        refused(ask(idle, method, path, headers={"Host": host}), 403, "localhost")
    assert set(ask(idle, "GET", "/health", headers={"Host": host}).json()) == {"status"}
    assert ask(idle, "GET", "/v1/jobs", headers={"Host": f"localhost:{idle.port}"}).status_code == 200


# Starting.


def serve(folder, *flags, env=None):
    """Runs `serve` where it should refuse to: its code, and what it said."""
    environment = {"PATH": "/usr/bin:/bin", **MEMORY, "CELERIAC_STORE": str(folder / "store"), **(env or {})}
    command = [PROGRAM, "serve", "--port", str(free_port()), *flags]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.255.255.1"])
def test_beyond_this_machine_nothing_is_served_without_a_key(tmp_path, host):
    code, said = serve(tmp_path, "--host", host)
    assert code == 78, said
    assert "without an API key" in said and "CELERIAC_API_KEYS" in said and "--insecure" in said and "listening" not in said


@pytest.mark.parametrize("flags,env", [(["--insecure"], {}), ([], {"CELERIAC_API_KEYS": KEYS})])
def test_beyond_this_machine_it_is_served_with_a_key_or_when_told(tmp_path, flags, env):
    with Service(tmp_path, "--host", "0.0.0.0", *flags, env=env) as service:
        assert ask(service, "GET", "/v1/jobs", headers={**bearer(READ), "Host": "docs.example"}).status_code == 200


@pytest.mark.parametrize(
    "env,word",
    [
        ({"CELERIAC_API_KEYS": "canary-canary-canary"}, "NAME:ROLE:KEY"),
        ({"CELERIAC_API_KEYS": "a:root:canary-canary-canary"}, "one of read, operate, admin"),
        ({"CELERIAC_API_KEYS": "a:admin:canary"}, "fewer than 16"),
        ({"CELERIAC_API_CORS_ORIGINS": "*"}, "no origin"),
    ],
)
def test_a_setting_that_makes_no_sense_is_said_at_the_start_without_its_secret(tmp_path, env, word):
    code, said = serve(tmp_path, env=env)
    assert code == 78 and word in said and "canary" not in said, said


# Limits.


def test_a_key_that_calls_too_often_waits(tmp_path):
    settings = "[celeriac.api]\nrate_limit_per_minute = 5\n"
    with Service(tmp_path, env={"CELERIAC_API_KEYS": KEYS}, settings=settings) as service:
        answers = [ask(service, "GET", "/v1/jobs", headers=bearer(READ)) for _ in range(7)]
        assert [answer.status_code for answer in answers[:5]] == [200] * 5
        refused(answers[6], 429, "rate_limit_per_minute")
        assert 1 <= int(answers[6].headers["retry-after"]) <= 13
        assert ask(service, "GET", "/v1/jobs", headers=bearer(OPERATE)).status_code == 200
        assert ask(service, "GET", "/livez", headers=bearer(READ)).status_code == 200


def test_a_service_that_is_read_only_changes_nothing(tmp_path):
    with Service(tmp_path, "--read-only") as service:
        changing = [(method, path) for method, path, _ in routes(service) if method != "GET"] + [s for s in SOURCES if s[0] != "GET"]
        for method, path in changing:
            if path != "/v1/estimate":
                refused(ask(service, method, path, json={}), 403, "read-only")
        assert ask(service, "GET", "/v1/jobs").status_code == 200
        assert ask(service, "POST", "/v1/estimate", json={"pages": 3}).status_code == 200


# The trail.


def test_what_was_changed_and_by_whom_is_told_to_admins(guarded):
    path = guarded.document("audited.pdf", 1)
    made = ask(guarded, "POST", "/v1/jobs", headers=bearer(OPERATE), json={"job_id": "audited", "source": {"kind": "path", "path": str(path)}})
    assert made.status_code == 202, made.text
    ask(guarded, "DELETE", "/v1/jobs/audited", headers=bearer(READ))
    ask(guarded, "POST", "/v1/jobs/audited/cancel", headers=bearer("nobody"))
    ask(guarded, "GET", "/v1/jobs", headers=bearer(OPERATE))
    log_in(guarded, ADMIN)
    told = ask(guarded, "GET", "/v1/audit?limit=3", headers=bearer(ADMIN)).json()
    seen = [(deed["who"], deed["role"], deed["method"], deed["path"], deed["status"], deed["made"]) for deed in told["entries"]]
    assert seen == [
        ("anna", "admin", "POST", "/login", 303, "/jobs?q=a"),
        ("rita", "read", "DELETE", "/v1/jobs/audited", 403, None),
        ("otto", "operate", "POST", "/v1/jobs", 202, "/v1/jobs/audited"),
    ]
    assert all(deed["address"] == "127.0.0.1" and datetime.fromisoformat(deed["at"]).tzinfo for deed in told["entries"])
    # The strangers' attempt is in the log alone.
    lines = [line for line in guarded.output().splitlines() if "celeriac::audit" in line or " audit" in line]
    assert any("/v1/jobs/audited/cancel" in line and "401" in line for line in lines), guarded.output()[-2000:]
    assert any("otto" in line and "202" in line for line in lines)

    older = ask(guarded, "GET", f"/v1/audit?limit=1&cursor={told['next']}", headers=bearer(ADMIN)).json()["entries"]
    assert older[0] not in told["entries"]
    refused(ask(guarded, "GET", "/v1/audit?cursor=none", headers=bearer(ADMIN)), 422, "cursor")


def test_services_on_one_redis_write_one_trail_and_share_sessions(tmp_path):
    secret = {"CELERIAC_API_KEYS": KEYS, "CELERIAC_SESSION_SECRET": "the same for both of them"}
    with RedisServer(tmp_path) as redis:
        redis.ready()
        env = {"CELERY_BROKER_URL": redis.broker_url, "CELERY_RESULT_BACKEND": redis.result_backend, **secret}
        folders = [tmp_path / "one", tmp_path / "two"]
        for folder in folders:
            folder.mkdir()
        with Service(folders[0], env=env) as one, Service(folders[1], env=env) as two:
            session = {"Cookie": log_in(one, OPERATE).headers["set-cookie"].split(";")[0]}
            assert ask(two, "POST", "/v1/jobs/nobody/cancel", headers={**session, **OWN}).status_code == 404
            told = ask(one, "GET", "/v1/audit", headers=bearer(ADMIN)).json()
            assert [(deed["who"], deed["path"]) for deed in told["entries"]] == [("otto", "/v1/jobs/nobody/cancel"), ("otto", "/login")]
            first = ask(two, "GET", "/v1/audit?limit=1", headers=bearer(ADMIN)).json()
            second = ask(two, "GET", f"/v1/audit?limit=1&cursor={first['next']}", headers=bearer(ADMIN)).json()
            assert first["entries"] + second["entries"] == told["entries"]


# Secrets.


def test_no_secret_is_shown_anywhere(guarded):
    secrets = [READ, OPERATE, ADMIN, HASHED, hashlib.sha256(HASHED.encode()).hexdigest(), "canary-session-secret"]
    said = [ask(guarded, "GET", "/openapi.json").text, guarded.output()]
    for path in ("/v1/audit", "/v1/stats", "/v1/workers", "/health", "/v1/nothing"):
        said.append(ask(guarded, "GET", path, headers=bearer(ADMIN)).text)
    environment = {"PATH": "/usr/bin:/bin", **MEMORY, "CELERIAC_API_KEYS": KEYS}
    for command in (["config", "show", "--all"], ["config", "show", "--json", "--origin"], ["config", "check"]):
        shown = subprocess.run([PROGRAM, *command], cwd=guarded.folder, env=environment, capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        said.append(shown.stdout + shown.stderr)
    assert "celeriac.api.keys" in said[-2] and "********" in said[-2]
    for secret in secrets:
        assert not [text for text in said if secret in text], secret


# What the document says.


def test_the_document_says_how_each_route_is_guarded(guarded):
    document = guarded.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer" and schemes["key"]["name"] == "X-API-Key"
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "celeriac_session")
    for method, path, operation in routes(guarded):
        if path in OPEN:
            assert "security" not in operation and "401" not in operation["responses"], path
        else:
            assert [list(way) for way in operation["security"]] == [["bearer"], ["key"], ["session"]], path
            for status in ("401", "403", "429"):
                content = operation["responses"][status]["content"]
                assert json.dumps(content).count("#/components/schemas/Problem") == 1, f"{method} {path} {status}"
