#!/usr/bin/env bash
# deps.sh python|pgstac=VERSION|queue|go|elasticmq...: installs what the benchmarks need beside `make deps`, and prints
# what it does.
# python: the peers of bench/requirements.txt into build/bench/venv.
# pgstac: another pypgstac into build/bench/venv-VERSION.
# queue: fauxqs and its Node into build/bench/fauxqs; needs npm.
# go: the client in bench/go as build/bench/receive-go; needs go.
# elasticmq: that queue into build/bench/elasticmq; needs mvn and java.
# A part whose tools are not installed is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build/bench
log=$PWD/build/bench/deps.log

say() { echo "bench: $*"; }

run() {
    "$@" >>"$log" 2>&1 || {
        tail -n 15 "$log" >&2
        say "$1 failed, see $log" >&2
        exit 1
    }
}

# is_done NAME FILE...: succeeds if NAME was installed from these very files.
is_done() { [ "$(sha256sum "${@:2}")" = "$(cat "build/bench/$1/.complete" 2>/dev/null)" ]; }
done_with() { sha256sum "${@:2}" >"build/bench/$1/.complete"; }

install_python() {
    is_done venv bench/requirements.txt && return
    say "pypgstac and stac-pydantic from bench/requirements.txt into build/bench/venv"
    rm -rf build/bench/venv
    run /usr/bin/python3 -m venv build/bench/venv
    run build/bench/venv/bin/pip install --disable-pip-version-check --no-input --require-hashes -r bench/requirements.txt
    done_with venv bench/requirements.txt
}

install_pgstac() {
    [ -e "build/bench/venv-$1/.complete" ] && return
    say "pypgstac $1 and stac-pydantic into build/bench/venv-$1"
    rm -rf "build/bench/venv-$1"
    run /usr/bin/python3 -m venv "build/bench/venv-$1"
    run "build/bench/venv-$1/bin/pip" install --disable-pip-version-check --no-input "pypgstac[psycopg]==$1" stac-pydantic
    touch "build/bench/venv-$1/.complete"
}

install_queue() {
    command -v npm >/dev/null || return 0
    is_done fauxqs bench/fauxqs/package.json bench/fauxqs/package-lock.json bench/fauxqs/server.mjs && return
    say "fauxqs and Node from bench/fauxqs/package-lock.json into build/bench/fauxqs"
    rm -rf build/bench/fauxqs
    cp -r bench/fauxqs build/bench/fauxqs
    run npm ci --prefix build/bench/fauxqs --no-audit --no-fund
    done_with fauxqs bench/fauxqs/package.json bench/fauxqs/package-lock.json bench/fauxqs/server.mjs
}

install_go() {
    command -v go >/dev/null || return 0
    (cd bench/go && run go build -o ../../build/bench/receive-go .)
}

install_elasticmq() {
    command -v mvn >/dev/null && command -v java >/dev/null || return 0
    is_done elasticmq bench/elasticmq/pom.xml && return
    say "ElasticMQ from bench/elasticmq/pom.xml into build/bench/elasticmq"
    rm -rf build/bench/elasticmq
    run mvn -q -B -f bench/elasticmq/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/build/bench/elasticmq"
    done_with elasticmq bench/elasticmq/pom.xml
}

exec 9>build/bench/.deps.lock
flock 9
: >"$log"
for part in "$@"; do
    case $part in
    python) install_python ;;
    pgstac=*) install_pgstac "${part#*=}" ;;
    queue) install_queue ;;
    go) install_go ;;
    elasticmq) install_elasticmq ;;
    *)
        sed -n 2,6p "$0" >&2
        exit 64
        ;;
    esac
done
