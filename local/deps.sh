#!/usr/bin/env bash
# deps.sh [test|docs|deb]: installs the missing dependencies of the build and the local stack, and prints what it does.
# test: also those of the tests (with LONG set, of the long ones too). deb: also those of the Debian package. docs: only
# those of the documentation. Debian packages come from apt (as root, or with sudo). Python tools come from
# local/requirements.txt into build/venv. The site generator (docs, test) and a STAC API (test) get a venv each, because
# their pins conflict with ours.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(
    gcc pkg-config libc6-dev libcurl4-openssl-dev libssl-dev libcjson-dev libpq-dev libsystemd-dev libyaml-dev libexpat1-dev
    libmicrohttpd-dev zlib1g-dev
)
stack_packages=(python3 python3-venv jq curl ca-certificates openssl bubblewrap)
test_packages=(clang clang-format cppcheck shellcheck valgrind libc6-dbg systemd dbus man-db mandoc pgbouncer
    slirp4netns nftables iproute2)
deb_packages=(dpkg-dev)
long_packages=("${deb_packages[@]}" buildah debootstrap docker-registry lintian)

log=build/deps.log
no_cluster=/etc/postgresql-common/createcluster.d/stactools-ingest.conf

say() { echo "deps: $*"; }
fail() {
    echo "deps: $*" >&2
    exit 1
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

has_postgres() {
    local programs major
    for programs in /usr/lib/postgresql/*/bin; do
        major=$(basename "$(dirname "$programs")")
        [ ! -x "$programs/initdb" ] || [ ! -e "/usr/share/postgresql/$major/extension/postgis.control" ] || return 0
    done
    return 1
}

# Runs a command as root: directly, or with sudo, which may ask for a password on the terminal.
as_root() {
    local keep=(DEBIAN_FRONTEND=noninteractive) name
    for name in http_proxy https_proxy no_proxy; do
        [ -z "${!name:-}" ] || keep+=("$name=${!name}")
    done
    if [ "$(id -u)" = 0 ]; then
        env "${keep[@]}" "$@"
    else
        sudo env "${keep[@]}" "$@"
    fi
}

can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

apt() { as_root apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }

update_lists() {
    say "apt-get update"
    apt update || fail "apt-get update failed, see $log; is the package mirror reachable?"
}

# The package of the newest PostgreSQL that apt offers, as the metapackage names it, and PostGIS for it.
postgres_packages() {
    local major
    major=$(apt-cache depends --no-recommends --no-suggests postgresql 2>/dev/null |
        sed -n 's/^ *Depends: postgresql-\([0-9]\{1,\}\)$/\1/p' | head -n 1)
    [ -n "$major" ] || return 1
    echo "postgresql-$major postgresql-$major-postgis-3"
}

# The server's package would create and start a cluster, which is not needed.
without_cluster() {
    local made=''
    if [ ! -e "$no_cluster" ]; then
        say "the PostgreSQL package creates no cluster ($no_cluster, removed afterwards)"
        as_root mkdir -p "$(dirname "$no_cluster")"
        echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
        made=yes
    fi
    local status=0
    "$@" || status=$?
    [ -z "$made" ] || as_root rm -f "$no_cluster"
    return "$status"
}

install_packages() {
    case $* in
    *postgresql*) without_cluster apt install -y --no-install-recommends "$@" ;;
    *) apt install -y --no-install-recommends "$@" ;;
    esac
}

install_missing() {
    local missing=() package postgres=''
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    if [ -n "$docs_only" ] || has_postgres; then
        :
    elif ! can_be_root; then
        missing+=(postgresql postgis)
    else
        postgres=$(postgres_packages) || { update_lists && postgres=$(postgres_packages); } ||
            fail "apt does not know a package postgresql: the local stack needs PostgreSQL with PostGIS"
    fi
    # shellcheck disable=SC2206 # two words on purpose
    missing+=($postgres)
    [ ${#missing[@]} -gt 0 ] || return 0
    can_be_root || fail "not root, and sudo is not available; run as root: apt-get install --no-install-recommends ${missing[*]}"
    apt-cache show --no-all-versions "${missing[@]}" >/dev/null 2>&1 || update_lists
    say "apt-get install ${missing[*]}"
    install_packages "${missing[@]}" || {
        update_lists # the package lists were older than the mirror
        install_packages "${missing[@]}"
    } || {
        tail -n 15 "$log" >&2
        fail "apt-get install failed, see $log; try it yourself: apt-get install ${missing[*]}"
    }
}

# install_tools REQUIREMENTS VENV
install_tools() {
    local python=/usr/bin/python3 requirements=$1 venv=$2 key
    key=$({
        "$python" -V
        cat "$requirements"
    } | sha256sum)
    [ "$key" != "$(cat "$venv/.complete" 2>/dev/null)" ] || return 0
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "Python 3.10 or newer is needed; found $("$python" -V)"
    say "Python tools from $requirements into $venv (half a minute)"
    rm -rf "$venv"
    "$python" -m venv "$venv" >>"$log" 2>&1 || fail "$python -m venv failed, see $log"
    "$venv/bin/pip" install --disable-pip-version-check --no-input --use-pep517 --require-hashes \
        -r "$requirements" >>"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        fail "pip install failed, see $log; is the package index reachable (PIP_INDEX_URL, PIP_CERT, https_proxy)?"
    }
    echo "$key" >"$venv/.complete"
}

case $* in
'' | test | docs | deb) ;;
*)
    sed -n 2,5p "$0" >&2
    exit 64
    ;;
esac
docs_only=''
[ "$*" != docs ] || docs_only=yes
command -v apt-get dpkg-query >/dev/null ||
    fail "this is neither Debian nor Ubuntu; install these yourself: ${build_packages[*]} ${stack_packages[*]} postgresql postgis"
mkdir -p build
exec 9>build/.deps.lock
flock 9
: >"$log"
packages=("${build_packages[@]}" "${stack_packages[@]}")
case ${1:-}${LONG:+-long} in
test) packages+=("${test_packages[@]}") ;;
test-long) packages+=("${test_packages[@]}" "${long_packages[@]}") ;;
deb*) packages+=("${deb_packages[@]}") ;;
docs*) packages=(python3 python3-venv) ;;
esac
install_missing "${packages[@]}"
[ -n "$docs_only" ] || install_tools local/requirements.txt build/venv
[ "${1:-}" != test ] || install_tools local/requirements-api.txt build/venv-api
case ${1:-} in
docs | test) install_tools local/requirements-docs.txt build/venv-docs ;;
esac
