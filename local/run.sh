#!/usr/bin/env bash
# run.sh [DIR]: follows docs/getting-started.md on this machine, step by step, on its own stack, which it stops at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=${1:-build/run}
work=$(mktemp -d "${TMPDIR:-/tmp}/stactools-ingest-run.XXXXXX")
python=build/venv/bin/python
constraints=$PWD/etc/constraints.txt
deadline=$((SECONDS + 600))
n=0

if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'; else bold='' green='' red='' plain=''; fi
step() {
    n=$((n + 1))
    printf '%s%2d. %s%s\n' "$bold" "$n" "$*" "$plain"
}
done_with() { printf '    %s%s%s\n' "$green" "$*" "$plain"; }
fail() {
    printf '%s%s%s\n' "$red" "failed: $*" "$plain" >&2
    for log in "$dir"/item*.log; do [ ! -s "$log" ] || { echo "--- $log" && tail -n 15 "$log"; } >&2; done
    exit 1
}
# shellcheck disable=SC2317 # the trap calls it
finish() {
    local status=$?
    "$python" -m local.stack down --dir "$dir" >/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# wait_for WHAT COMMAND...: waits until the command succeeds.
wait_for() {
    local what=$1
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what did not arrive within ten minutes"
        sleep 0.5
    done
}
stac() { # stac PACKAGE ARGUMENTS...: runs the package's command; prints its output only if it fails
    local package=$1
    shift
    UV_CONSTRAINT=$constraints UV_PYTHON_DOWNLOADS=never UV_PYTHON=/usr/bin/python3 UV_CACHE_DIR=$PWD/build/cache/uv \
        uvx --quiet --with "requests,$package" --from stactools stac "$@" >"$work/stac.log" 2>&1 || {
        cat "$work/stac.log" >&2
        fail "stac $*"
    }
}
query() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
has_item() { [ "$(query "SELECT count(*) FROM pgstac.items WHERE collection = '$1' AND id LIKE '$2'")" -ge "${3:-1}" ]; }
dead_letters() {
    aws sqs get-queue-attributes --queue-url "$1" --attribute-names ApproximateNumberOfMessages \
        --query Attributes.ApproximateNumberOfMessages --output text
}
has_dead_letter() { [ "$(dead_letters "$1")" -ge 1 ]; }

step "Deployment: a stack on loopback, with both daemons"
"$python" -m local.stack up --dir "$dir" >"$work/up.log" 2>&1 || {
    cat "$work/up.log" >&2
    fail "the stack did not start"
}
# shellcheck disable=SC1091 # written by up
. "$dir/env"
done_with "$(tail -n 2 "$work/up.log" | head -n 1)"

step "Prerequisites: the AWS CLI and access to the resources"
identity=$(aws sts get-caller-identity --query Arn --output text)
done_with "$(aws --version 2>&1 | cut -d' ' -f1) as $identity"

step "Load collections: made by the packages' create-collection (downloads their environments the first time)"
glclu=stactools-glad-glclu2020 gfc=stactools-glad-global-forest-change==0.1.2
sample=$ASSET_URL/v2/2000/50N_090W.tif
stac $glclu gladglclu2020 create-collection --sample-asset-href "$sample" --type annual "$work/glclu2020.json"
stac $gfc gladglobalforestchange create-collection "$work/gfc.json"
jq '.id = "example-collection"' "$work/glclu2020.json" >"$work/example.json"
secret=$(aws secretsmanager get-secret-value --secret-id "$PGSTAC_SECRET_ARN" --query SecretString --output text)
jq -c . "$work/glclu2020.json" "$work/gfc.json" "$work/example.json" >"$work/collections.ndjson"
PGHOST=$(jq -r .host <<<"$secret") PGPORT=$(jq -r .port <<<"$secret") PGDATABASE=$(jq -r .dbname <<<"$secret") \
    PGUSER=$(jq -r .username <<<"$secret") PGPASSWORD=$(jq -r .password <<<"$secret") \
    pypgstac load collections --method=upsert "$work/collections.ndjson" >"$work/load.log" 2>&1 ||
    { cat "$work/load.log" >&2 && fail "pypgstac load collections"; }
glclu_id=$(jq -r .id "$work/glclu2020.json") gfc_id=$(jq -r .id "$work/gfc.json")
done_with "$glclu_id, $gfc_id, example-collection"

publish() { # publish TOPIC MESSAGE: prints the message id
    aws sns publish --topic-arn "$1" --message "$2" --query MessageId --output text
}
request() { # request URL: prints an ItemRequest for one GeoTIFF
    jq -n --arg package $glclu --arg url "$1" --arg format "$ASSET_URL/v2/{year}/{loc}.tif" \
        '{package_name: $package, group_name: "gladglclu2020", create_item_args: [$url], create_item_options: {"href-format": $format}}'
}
step "Generate items: publish requests for both packages to ItemGenTopic"
publish "$ITEM_GEN_TOPIC_ARN" "$(request "$sample")" >"$work/id"
hansen=$(printf "\"$ASSET_URL/Hansen_GFC-2023-v1.11_%s_40N_080W.tif\"," gain treecover2000 lossyear datamask)
publish "$ITEM_GEN_TOPIC_ARN" "{\"package_name\": \"$gfc\", \"group_name\": \"gladglobalforestchange\", \"create_item_args\": [${hansen%,}], \"collection_id\": \"$gfc_id\"}" >>"$work/id"
done_with "published messages $(paste -sd' ' "$work/id")"
wait_for "the item of $glclu" has_item "$glclu_id" 2000_50N_090W
wait_for "the item of $gfc" has_item "$gfc_id" %
done_with "both items are in the catalog"

step "Monitor the logs (journalctl -u itemgend, journalctl -u itemloadd; here $dir/*.log)"
done_with "itemgend:  $(jq -r 'select(.event == "ITEM_GENERATED").message' "$dir/itemgend.log" | head -n 1)"
done_with "itemloadd: $(jq -r 'select(.event == "ITEM_LOADED").message' "$dir/itemloadd.log" | head -n 1)"

step "Ingest many items: publish an inventory in a loop"
curl -sf "$ASSET_URL/v2/2000.txt" >"$work/urls.txt" || fail "no inventory at $ASSET_URL/v2/2000.txt"
total=$(wc -l <"$work/urls.txt")
while IFS= read -r url; do publish "$ITEM_GEN_TOPIC_ARN" "$(request "$url")" >/dev/null; done <"$work/urls.txt"
wait_for "the inventory's items" has_item "$glclu_id" 2000_% "$total"
done_with "$total of $total are in the catalog"

step "Dead letters: publish a request that cannot succeed, and read the reason"
publish "$ITEM_GEN_TOPIC_ARN" '{"package_name": "stactools-glad-glclu2020", "create_item_args": []}' >/dev/null
wait_for "the dead letter" has_dead_letter "$ITEM_GEN_DLQ_URL"
done_with "ItemGenDeadLetterQueue: $(dead_letters "$ITEM_GEN_DLQ_URL"), ItemLoadDeadLetterQueue: $(dead_letters "$ITEM_LOAD_DLQ_URL")"
reason=$(aws sqs receive-message --queue-url "$ITEM_GEN_DLQ_URL" --message-attribute-names All \
    --query 'Messages[0].MessageAttributes.error.StringValue' --output text)
done_with "it says: $reason"

step "Publish a finished item to the load topic"
publish "$ITEM_LOAD_TOPIC_ARN" '{
  "type": "Feature", "stac_version": "1.0.0", "id": "example-item", "properties": {"datetime": "2021-01-01T00:00:00Z"},
  "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]},
  "links": [], "assets": {}, "collection": "example-collection"}' >/dev/null
wait_for "the ready item" has_item example-collection example-item
done_with "example-item is in the catalog"

step "Read the items back with pgstac's search"
search() { query "SET search_path TO pgstac, public; SELECT jsonb_array_elements(search('{\"collections\": [\"$1\"], \"limit\": 1$2}')->'features')" 2>/dev/null; }
for found in "$(search "$glclu_id" ', "ids": ["2000_50N_090W"]')" "$(search "$gfc_id" '')" "$(search example-collection '')"; do
    [ -n "$found" ] || fail "search found nothing"
    jq -c '{id, collection, datetime: .properties.datetime, bbox, assets: (.assets | keys)}' <<<"$found" | sed 's/^/    /'
done
printf '%s\n' "${green}All $n steps worked.${plain} make up leaves a stack running to work against; docs/getting-started.md shows how."
