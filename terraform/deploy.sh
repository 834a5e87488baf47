#!/usr/bin/env bash
# Deploys what config.yaml describes on AWS, or removes it again. A step that has nothing to do does nothing.
#
#   deploy.sh            repositories, images (or the Debian package), database, migration, everything else; the outputs
#   deploy.sh --plan     prints what would be built and changed, and changes nothing
#   deploy.sh --destroy  removes everything, including the database and its content
#
# CONFIG: another configuration. CONFIRM: answers the questions: yes, or for --destroy the cluster's name.
# RELEASE: an earlier release to go back to. BASE and other variables of container/images.sh: for the images.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
images=$top/container/images.sh

say() { echo "deploy: $*"; }
fail() {
    echo "deploy: $*" >&2
    exit 1
}

usage() {
    sed -n '2,/^set /{/^#/p}' "$0" >&2
    exit 64
}

case $* in
'') action=deploy ;;
--plan) action=plan ;;
--destroy) action=destroy ;;
*) usage ;;
esac

# ------------------------------------------------------------ requirements

config=$(realpath -m "${CONFIG:-$top/config.yaml}")
missing=()

check_terraform() {
    local version
    command -v terraform >/dev/null || {
        missing+=("terraform 1.11 or newer: https://developer.hashicorp.com/terraform/install")
        return
    }
    version=$(terraform version -json | sed -n 's/.*"terraform_version": *"\([^"]*\)".*/\1/p')
    [ "$(printf '1.11\n%s\n' "$version" | sort -V | head -n 1)" = 1.11 ] ||
        missing+=("terraform 1.11 or newer: found version $version")
}

check_terraform
command -v aws >/dev/null || missing+=("aws, the command line interface: https://aws.amazon.com/cli/")
command -v jq >/dev/null || missing+=("jq")
[ "$action" = destroy ] || "$images" builder >/dev/null 2>&1 || missing+=("an image builder: docker with its engine running, podman or buildah")
[ -f "$config" ] || missing+=("$config: copy config.example.yaml to config.yaml and change it")
[ ${#missing[@]} -eq 0 ] || {
    echo "deploy: missing:" >&2
    printf '  %s\n' "${missing[@]}" >&2
    exit 1
}
[ "$action" = plan ] || [ -n "${CONFIRM:-}" ] || [ -t 0 ] ||
    fail "cannot ask for confirmation without a terminal: set CONFIRM=yes to accept all changes (to destroy: CONFIRM=CLUSTER)"

# ------------------------------------------------------------ terraform

tf() { terraform -chdir="$here" "$@"; }

mkdir -p "$top/build"
say "terraform init"
tf init -input=false >"$top/build/terraform-init.log" 2>&1 || {
    cat "$top/build/terraform-init.log" >&2
    fail "terraform init failed"
}

# Values of the configuration that this script needs; only terraform reads the file.
# shellcheck disable=SC2016 # expressions of terraform
settings='"${local.settings.architecture} ${coalesce(local.settings.region, "-")} ${join(" ", local.settings.itemgend.warm_packages)}"'
read -r ARCHITECTURE region warm < <(tf console -var="config_file=$config" <<<"$settings" | tr -d '"') ||
    fail "the configuration $config is not valid"
WARM=${WARM-$warm}
[ "$region" != - ] || region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail "no AWS region: set region in $config, AWS_REGION, or the region of your profile"
export ARCHITECTURE WARM AWS_REGION=$region AWS_DEFAULT_REGION=$region
account=$(aws sts get-caller-identity --query Account --output text) ||
    fail "AWS does not accept your credentials: run aws configure or aws sso login, or set AWS_PROFILE"

look_at_outputs() { outputs=$(tf output -json); }
look_at_outputs

# output NAME: prints it as JSON; null if it does not exist (yet).
output() { jq --compact-output --arg name "$1" '.[$name].value' <<<"$outputs"; }
text() { output "$1" | jq --raw-output '. // empty'; }

variables() { printf '%s\n' "-var=config_file=$config" "-var=release=$release"; }

# apply OPTION...: terraform asks, unless CONFIRM=yes.
apply() {
    local options
    mapfile -t options < <(variables)
    [ "${CONFIRM:-}" != yes ] || options+=(-auto-approve)
    tf apply -compact-warnings "${options[@]}" "$@"
    look_at_outputs
}

destroy() {
    local cluster answer
    cluster=$(text cluster_name)
    [ -n "$cluster" ] || fail "nothing is deployed: terraform's state is empty"
    release=$(text release)
    release=${release:-latest}
    answer=${CONFIRM:-}
    if [ -z "$answer" ]; then
        echo "This destroys $cluster in account $account: queues with their messages, and the database with its content, without a last snapshot."
        read -r -p "Enter its name to go on: " answer
    fi
    [ "$answer" = "$cluster" ] || fail "that is not $cluster: nothing was destroyed"
    mapfile -t options < <(variables)
    say "lifting the protection of the database and buckets"
    tf apply -compact-warnings -auto-approve "${options[@]}" -var=force_delete=true
    tf destroy -compact-warnings -auto-approve "${options[@]}" -var=force_delete=true
    say "$cluster is gone"
}

if [ "$action" = destroy ]; then
    destroy
    exit
fi

# ------------------------------------------------------------ images and package

release=${RELEASE:-$("$images" release)}
say "release $release, account $account, region $region"

# has_image NAME URL: succeeds if the repository has the image of this release.
has_image() {
    aws ecr describe-images --repository-name "${2#*/}" --image-ids "imageTag=$release" >/dev/null 2>&1
}

# for_each_image FUNCTION: calls it with the name and the repository's URL of each image.
for_each_image() {
    local name url
    while IFS=$'\t' read -r -u 3 name url; do
        "$1" "$name" "$url"
    done 3< <(output repositories | jq --raw-output 'to_entries[]? | [.key, .value] | @tsv')
}

check_release() { [ -z "${RELEASE:-}" ] || fail "$1 $release does not exist: RELEASE must be an earlier release"; }

push_image() {
    local name=$1 url=$2
    if has_image "$name" "$url"; then
        say "image $name:$release exists"
        return
    fi
    check_release "image $name"
    say "building and pushing the image $name"
    "$images" build "$name" "$url:$release"
    aws ecr get-login-password | "$images" login "${url%%/*}"
    "$images" push "$url:$release"
}

say_image() { say "image $1:$release $(has_image "$@" && echo exists || echo would be built and pushed)"; }

push_package() {
    local uri=$1
    if aws s3 ls "$uri" >/dev/null 2>&1; then
        say "package $uri exists"
        return
    fi
    check_release "package $uri"
    say "building and uploading the Debian package"
    rm -rf "$top/build/package"
    "$images" package "$top/build/package"
    aws s3 cp --only-show-errors "$top"/build/package/stactools-ingest_*.deb "$uri"
}

if [ "$action" = plan ]; then
    for_each_image say_image
    mapfile -t options < <(variables)
    tf plan -compact-warnings "${options[@]}"
    exit
fi

# ------------------------------------------------------------ the migration

show_log() {
    local stream=$1 group
    group=$(output migration | jq --raw-output .log_group_name)
    aws logs get-log-events --log-group-name "$group" --log-stream-name "$stream" --start-from-head \
        --output json | jq --raw-output '.events[].message' | sed 's/^/  /' ||
        echo "  (no log: $group $stream)"
}

# wait_for_task CLUSTER TASK: waits until it has stopped; prints its description.
wait_for_task() {
    local deadline=$((SECONDS + ${MIGRATION_TIMEOUT_S:-3600})) described status='' last=''
    while [ "$status" != STOPPED ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the migration $2 has not stopped in time, its status is $status"
        described=$(aws ecs describe-tasks --cluster "$1" --tasks "$2" --output json)
        status=$(jq --raw-output '.tasks[0].lastStatus // "MISSING"' <<<"$described")
        [ "$status" != MISSING ] || fail "ECS no longer knows the task $2: $(jq --compact-output .failures <<<"$described")"
        [ "$status" = "$last" ] || say "migration: $status" >&2
        last=$status
        [ "$status" = STOPPED ] || sleep "${MIGRATION_POLL_S:-5}"
    done
    echo "$described"
}

migrate() {
    local how cluster network started task described code
    how=$(output migration)
    cluster=$(jq --raw-output .cluster_arn <<<"$how")
    network=$(jq --compact-output '{awsvpcConfiguration: {subnets: .subnet_ids, securityGroups: .security_group_ids,
        assignPublicIp: (if .assign_public_ip then "ENABLED" else "DISABLED" end)}}' <<<"$how")
    started=$(aws ecs run-task --cluster "$cluster" --launch-type FARGATE --count 1 --started-by deploy \
        --task-definition "$(jq --raw-output .task_definition_arn <<<"$how")" --network-configuration "$network" --output json)
    task=$(jq --raw-output '.tasks[0].taskArn // empty' <<<"$started")
    [ -n "$task" ] || fail "the migration could not be started: $(jq --compact-output .failures <<<"$started")"
    described=$(wait_for_task "$cluster" "$task")
    code=$(jq --raw-output '.tasks[0].containers[0].exitCode // "none"' <<<"$described")
    show_log "migrate/$(jq --raw-output .container_name <<<"$how")/${task##*/}"
    [ "$code" = 0 ] ||
        fail "the migration failed: exit code $code, $(jq --raw-output '[.tasks[0].stoppedReason, .tasks[0].containers[0].reason] |
            map(select(. != null)) | join("; ")' <<<"$described")"
    say "the database is migrated"
}

# ------------------------------------------------------------ everything, in the order of dependencies

say "repositories"
apply -target='module.service["itemgend"].aws_ecr_repository.this' -target='module.service["itemloadd"].aws_ecr_repository.this' \
    -target=module.database.aws_ecr_repository.migrate -target=module.database.aws_ecr_repository.pgbouncer -target=module.packages
for_each_image push_image
package=$(text package_uri)
[ -z "$package" ] || push_package "$package"

# Daemons of a release start after the database has been migrated to what the release needs.
say "database"
apply -target=module.database -target=module.cluster
[ "$(output migration)" = null ] || migrate

say "everything"
apply

tf output
cat <<END

Deployed: $(text cluster_name), release $release. Next, request an item (docs/how-to/generate.md) and follow it:

  aws sns publish --region $region --topic-arn $(text ItemGenSNSTopicArn) --message '{"package_name": ...}'
  aws logs tail --region $region --follow $(text ItemGenLogGroup)
END
