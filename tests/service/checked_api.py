"""Asks a service everything that its OpenAPI document allows and forbids, and holds its answers to the document: no 5xx, only statuses,
media types and shapes that stand there, nothing accepted that the document forbids, nothing answered without a key.

    .venv/bin/python tests/service/checked_api.py SECONDS [SEED]
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import Service  # (Before `processes`: it says where that is.)
from processes import ROOT

HERE = Path(__file__).parent
SCHEMATHESIS = ROOT / ".venv/schemathesis"
KEY = "the-key-of-the-check-0123"
KEYS = {"CELERIAC_API_KEYS": f"check:admin:{KEY}"}


def check(service, seed, *limit):
    """Asks until a limit of schemathesis: whether the service holds what it says, and what was said of it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(SCHEMATHESIS),
        "CELERIAC_CHECKED_KEY": KEY,
        "CELERIAC_CHECKED_HOOKS": str(HERE / "checked_api_hooks.py"),
        "CELERIAC_CHECKED_DOCUMENT": str(service.document("checked.pdf", 3)),
    }
    command = [sys.executable, SCHEMATHESIS / "bin/st", "--config-file", HERE / "schemathesis.toml", "run", f"{service.url}/openapi.json"]
    command += ["--phases", "coverage,fuzzing", "--seed", seed, "--no-color", *limit]
    ran = subprocess.run([str(word) for word in command], cwd=service.folder, env=environment, capture_output=True, text=True)
    return ran.returncode == 0, ran.stdout + ran.stderr


def main(seconds, seed):
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="celeriac-checked-") as folder, Service(folder, "--with-worker", env=KEYS) as service:
        holds, said = check(service, seed, "--max-time", seconds)
        print(said)
        if not holds:
            print(f"again with: scripts/check-api {seconds} {seed}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(2**32)))
