#!/usr/bin/env bash
# Container images, with the builder that is there: docker, podman or buildah (or BUILDER).
#
#   images.sh release                  prints what the images are tagged with: a hash of all that goes into them
#   images.sh builder                  prints which builder is used
#   images.sh build NAME TAG           builds container/NAME/Dockerfile as TAG
#   images.sh package FOLDER           builds the Debian package into FOLDER
#   images.sh login REGISTRY           takes the password of the user AWS from stdin
#   images.sh push TAG                 pushes what was built
#
# BASE: the base image, best with its digest (debian:12-slim@sha256:...). WARM, EXTRA_PACKAGES: what itemgend's brings along.
# DB_CA_BUNDLE: the database's certificates. ARCHITECTURE: x86_64 or arm64, if it is not this machine's. BUILD_OPTIONS,
# PUSH_OPTIONS: words for the builder. docs/reference/containers.md says more.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "images.sh: $*" >&2
    exit 1
}

arguments=(BASE WARM EXTRA_PACKAGES DB_CA_BUNDLE)

find_builder() {
    local name
    for name in docker podman buildah; do
        command -v "$name" >/dev/null || continue
        [ "$name" != docker ] || docker info >/dev/null 2>&1 || continue
        echo "$name"
        return
    done
    fail "no image builder is here: install docker (its engine has to run), podman or buildah"
}

machine=$(uname -m | sed 's/aarch64/arm64/')
architecture=${ARCHITECTURE:-$machine}
# What .dockerignore lets through.
mapfile -t context < <(sed -n 's/^!//p' .dockerignore)

# Of the context's files, the arguments and the architecture: the same release is the same image.
release() {
    local version name
    version=$(cat VERSION)
    {
        find "${context[@]}" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        for name in "${arguments[@]}"; do echo "$name=${!name:-}"; done
        echo "$architecture"
    } | sha256sum | cut -c 1-12 | sed "s/^/$version-/"
}

# The last commit that changed the context, in git's words for it (%H, %ct); nothing where this is no clone.
commit() { git log -1 --format="$1" -- "${context[@]}" 2>/dev/null || true; }

# build_with DOCKERFILE OPTION...
build_with() {
    local file=$1 options=() name epoch=${SOURCE_DATE_EPOCH:-$(commit %ct)}
    shift
    for name in "${arguments[@]}"; do
        # One that the file does not have is a warning of the builder's.
        [ -z "${!name+set}" ] || ! grep -q "^ARG $name\b" "$file" || options+=(--build-arg "$name=${!name}")
    done
    ! grep -q '^ARG REVISION' "$file" || options+=(--build-arg "REVISION=$(commit %H)")
    [ "$architecture" = "$machine" ] || options+=(--platform "linux/${architecture/x86_64/amd64}")
    options+=(--build-arg "SOURCE_DATE_EPOCH=${epoch:-0}")
    # HEALTHCHECK is not in OCI's format.
    [ "$builder" = docker ] || options+=(--format docker --timestamp "${epoch:-0}")
    # shellcheck disable=SC2086 # words by intent
    "$builder" build "${options[@]}" ${BUILD_OPTIONS:-} --file "$file" "$@" .
}

push() {
    # shellcheck disable=SC2086 # words by intent
    "$builder" push ${PUSH_OPTIONS:-} "$1"
}

usage() {
    sed -n '2,/^set /{/^#/p}' "$0" >&2
    exit 64
}

command=${1:-}
[ $# -gt 0 ] || usage
shift
[ "$command" = release ] || builder=${BUILDER:-$(find_builder)}
case $command:$# in
release:0) release ;;
builder:0) echo "$builder" ;;
build:2)
    [ -e "container/$1/Dockerfile" ] || fail "there is no container/$1/Dockerfile"
    build_with "container/$1/Dockerfile" --tag "$2"
    ;;
package:1) build_with container/deb/Dockerfile --output "$1" ;;
login:1) "$builder" login --username AWS --password-stdin "$1" ;;
push:1) push "$1" ;;
*) usage ;;
esac
