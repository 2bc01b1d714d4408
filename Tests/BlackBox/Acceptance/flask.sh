#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real application: Flask with the OpenTelemetry SDK from PyPI sends traces, metrics with exemplars and logs, once by
# OTLP over HTTP (protobuf) and once over gRPC with gzip; one request's trace id then leads to all three signals. The same
# checks again after a kill -9 and restart, because what was acknowledged must still be there.
#
# flask.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3
# The instrumentation exists as pre-releases only; naming one in the bound lets pip take it and nothing else.
pypi flask opentelemetry-sdk opentelemetry-exporter-otlp-proto-http opentelemetry-exporter-otlp-proto-grpc \
    'opentelemetry-instrumentation-flask>=0.50b0'
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^(Flask|grpcio|opentelemetry-(sdk|instrumentation-flask)) ' | tr -s ' '
start_tern

run() {
    local protocol=$1 endpoint=$2 compression=$3
    read -r shop_port < <(free_ports 1)
    start "shop-$protocol" env OTEL_EXPORTER_OTLP_ENDPOINT="$endpoint" OTEL_EXPORTER_OTLP_COMPRESSION="$compression" \
        OTEL_EXPORTER_OTLP_INSECURE=true "$python" -W ignore "$acceptance/flask_application.py" "$protocol" "$shop_port"
    wait_for 30 answers "http://127.0.0.1:$shop_port/ready" || die "the shop did not start: $(tail -3 "$scratch/shop-$protocol.log")"
    "$python" "$acceptance/flask_check.py" --shop "http://127.0.0.1:$shop_port" --tern "$tern_url" --results "$results" \
        --protocol "$protocol" --binary "$binary" || record FAIL "$protocol: the checks ran to their end"
    stop "shop-$protocol"
}
run http "http://127.0.0.1:$tern_otlp" none
run grpc "http://127.0.0.1:$tern_grpc" gzip

count() { curl -sfG "$tern_url/api/v1/correlate/services" | "$python" -c '
import json, sys
print(sorted((one["name"], one["spanCount"], one["logLineCount"]) for one in json.load(sys.stdin)["data"]))'; }
before=$(count)
stop tern KILL
start_tern
after=$(count)
if [ -n "$before" ] && [ "$before" = "$after" ]; then
    record PASS "after kill -9 the services have the same counts" "$after"
else
    record FAIL "after kill -9 the services have the same counts" "before $before after $after"
fi
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
