"""The service answers as its OpenAPI document says, whatever it is asked. `scripts/check-api` asks longer."""

import pytest
from checked_api import KEY, KEYS, SCHEMATHESIS, check
from conftest import Service
from processes import absent

# The same questions each time: some of each kind for each route, and so many more; a busy machine comes less far.
SEED, EXAMPLES, SECONDS = 20261126, 5, 60


@pytest.mark.timeout(600)
def test_no_question_that_the_document_allows_or_forbids_is_answered_otherwise_than_it_says(tmp_path):
    if not SCHEMATHESIS.exists():
        absent(f"{SCHEMATHESIS} is missing (scripts/setup python)")
    with Service(tmp_path, "--with-worker", env=KEYS) as service:
        holds, said = check(service, SEED, "--max-examples", EXAMPLES, "--max-time", SECONDS)
        assert holds, said[-20_000:]
        # It has asked, and with the key: of strangers' requests the trail has none.
        trail = service.get("/v1/audit", params={"limit": 1000}, headers={"X-API-Key": KEY}).json()["entries"]
        assert trail
