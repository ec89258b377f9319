# shellcheck shell=bash
# Sourced by the scripts beside it: what they say, how they fail, and how a missing program is installed.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV="$ROOT/.venv"
# A build that puts its output elsewhere (CARGO_TARGET_DIR) takes the fetched files along.
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
[[ $TARGET = /* ]] || TARGET="$ROOT/$TARGET"

say() { printf '==> %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The comment block at the head of a script is its --help.
usage() { awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"; }

has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root, by sudo where we are not; fails when there is no way.
as_root() {
    if [[ $EUID -eq 0 ]]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        return 1
    fi
}

# apt_install PACKAGE…: installs Debian packages, reading the package lists first only where they are missing or old.
apt_install() {
    has apt-get || die "these Debian packages are needed, and this system has no apt-get: $*. Install their like by hand."
    if [[ $EUID -ne 0 ]] && ! has sudo; then
        die "these packages are missing, and installing them needs root: $*. As root: apt-get install $*"
    fi
    say "installing $*"
    local log
    log=$(mktemp)
    if ! apt_try "$log" "$@"; then
        as_root apt-get -q update >"$log" 2>&1 || { cat "$log" >&2; die "apt-get update failed"; }
        apt_try "$log" "$@" || { cat "$log" >&2; die "apt-get could not install $*"; }
    fi
    rm -f "$log"
}

apt_try() {
    local log=$1
    shift
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@" >"$log" 2>&1
}

# missing ARRAY PROGRAM=PACKAGE…: adds to ARRAY the packages of those programs that are not here.
missing() {
    local -n into=$1
    local pair
    shift
    for pair in "$@"; do
        has "${pair%%=*}" || into+=("${pair#*=}")
    done
}

# A pip that can download; prints the command. The virtual environment's own comes first.
pip_command() {
    if [[ -x $VENV/bin/pip ]]; then
        echo "$VENV/bin/python -m pip"
    elif has python3 && python3 -m pip --version >/dev/null 2>&1; then
        echo "python3 -m pip"
    elif has pip3; then
        echo pip3
    elif has pip; then
        echo pip
    else
        apt_install python3-pip >&2
        echo "python3 -m pip"
    fi
}

# fetch_from_pypi DIR ARGUMENT…: pip download without dependencies.
fetch_from_pypi() {
    local dir=$1 pip log
    shift
    read -ra pip <<<"$(pip_command)"
    log=$(mktemp)
    if ! "${pip[@]}" --disable-pip-version-check download --quiet --no-deps -d "$dir" "$@" >"$log" 2>&1; then
        cat "$log" >&2
        die "pip could not download $*"
    fi
    rm -f "$log"
}

# checked SHA256 FILE: fails unless the file has that sum.
checked() {
    echo "$1  $2" | sha256sum --check --status || die "$2 is not the file that was expected (sha256 differs)"
}
