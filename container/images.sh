#!/usr/bin/env bash
# Builds container images with the builder that is installed: docker, podman or buildah. BUILDER chooses one.
#
#   images.sh release                  prints the images' tag: a hash of everything that goes into them
#   images.sh builder                  prints the builder that is used
#   images.sh build NAME TAG           builds container/NAME/Dockerfile as TAG
#   images.sh package FOLDER           builds the Debian package into FOLDER
#   images.sh login REGISTRY           logs in as the user AWS, with the password from stdin
#   images.sh push TAG                 pushes an image that was built
#
# BASE: the base image, best with its digest (debian:12-slim@sha256:...). WARM, EXTRA_PACKAGES: additions to itemgend's
# image. DB_CA_BUNDLE: the certificates to trust for the database. ARCHITECTURE: x86_64 or arm64, if it is not this
# machine's. BUILD_OPTIONS, PUSH_OPTIONS: options for the builder. docs/reference/containers.md has the details.
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
    fail "no image builder found: install docker (and start its engine), podman or buildah"
}

machine=$(uname -m | sed 's/aarch64/arm64/')
architecture=${ARCHITECTURE:-$machine}
# The files that .dockerignore lets through.
mapfile -t context < <(sed -n 's/^!//p' .dockerignore)

# Hashes the context's files, the arguments and the architecture: the same release is the same image.
release() {
    local version name
    version=$(cat VERSION)
    {
        find "${context[@]}" -type f -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        for name in "${arguments[@]}"; do echo "$name=${!name:-}"; done
        echo "$architecture"
    } | sha256sum | cut -c 1-12 | sed "s/^/$version-/"
}

# Prints the last commit that changed the context, in git's format (%H, %ct). Prints nothing outside a clone.
commit() { git log -1 --format="$1" -- "${context[@]}" 2>/dev/null || true; }

# build_with DOCKERFILE OPTION...
build_with() {
    local file=$1 options=() name epoch=${SOURCE_DATE_EPOCH:-$(commit %ct)}
    shift
    for name in "${arguments[@]}"; do
        # An argument that the Dockerfile does not have makes the builder print a warning.
        [ -z "${!name+set}" ] || ! grep -q "^ARG $name\b" "$file" || options+=(--build-arg "$name=${!name}")
    done
    ! grep -q '^ARG REVISION' "$file" || options+=(--build-arg "REVISION=$(commit %H)")
    [ "$architecture" = "$machine" ] || options+=(--platform "linux/${architecture/x86_64/amd64}")
    options+=(--build-arg "SOURCE_DATE_EPOCH=${epoch:-0}")
    # OCI's image format has no HEALTHCHECK.
    [ "$builder" = docker ] || options+=(--format docker --timestamp "${epoch:-0}")
    # shellcheck disable=SC2086 # split into words on purpose
    "$builder" build "${options[@]}" ${BUILD_OPTIONS:-} --file "$file" "$@" .
}

push() {
    # shellcheck disable=SC2086 # split into words on purpose
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
    [ -e "container/$1/Dockerfile" ] || fail "container/$1/Dockerfile does not exist"
    build_with "container/$1/Dockerfile" --tag "$2"
    ;;
package:1) build_with container/deb/Dockerfile --output "$1" ;;
login:1) "$builder" login --username AWS --password-stdin "$1" ;;
push:1) push "$1" ;;
*) usage ;;
esac
