"""What a measurement was taken on and with: the machine and the versions of everything that took part."""

import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

PACKAGES = ("celery", "kombu", "redis", "hiredis", "pypdfium2", "pillow", "dramatiq", "kreuzberg")


def said(*command, cwd=None):
    """The first line that a program says; none where it is not here."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, cwd=cwd)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip().split("\n")[0] or None


def package(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def of_file(path, pattern, default=None):
    try:
        found = re.search(pattern, Path(path).read_text(), re.M)
    except OSError:
        return default
    return found[1].strip().strip('"') if found else default


def version_of_node_package(folder, name):
    return of_file(Path(folder) / "node_modules" / name / "package.json", r'"version":\s*"([^"]+)"')


def describe(root, bullmq):
    """{machine: {…}, versions: {…}} as it is now; `bullmq` is the folder with its node_modules."""
    memory = int(of_file("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0"))
    redis = said("redis-server", "--version") or ""
    versions = {
        "celeriac": said("git", "describe", "--always", "--dirty", cwd=root),
        "Rust": said("rustc", "--version", cwd=root),
        "Redis": (re.search(r"v=(\S+)", redis) or [None, None])[1],
        "Python": platform.python_version(),
        **{name: package(name) for name in PACKAGES},
        "node": said("node", "--version"),
        "BullMQ": version_of_node_package(bullmq, "bullmq"),
        "PDFium": of_file(root / "target/pdfium/VERSION", r"(.+)"),
    }
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": of_file("/proc/cpuinfo", r"^model name\s*:\s*(.+)") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 1024**2, 1),
        "system": of_file("/etc/os-release", r"^PRETTY_NAME=(.+)") or sys.platform,
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: version for name, version in versions.items() if version},
    }
