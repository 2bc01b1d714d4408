#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every way in for spans with a real sender: OpenTelemetry's SDK by OTLP over HTTP and gRPC (plain and gzip) and by its Zipkin exporters
# (JSON, protobuf), py-zipkin with shared spans, Jaeger's exporter of the older SDK over HTTP and jaeger-client over UDP. What was
# acknowledged is then found by id, also after kill -9; span metrics and the service graph count it.
#
# spans.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3
pypi opentelemetry-sdk opentelemetry-exporter-otlp-proto-http opentelemetry-exporter-otlp-proto-grpc py-zipkin
# They need other versions of protobuf or of the SDK: a folder each.
beside() {
    local folder=$1
    shift
    "$python" -m pip install --quiet --disable-pip-version-check --target "$scratch/$folder" "$@" > "$scratch/pip.log" 2>&1 \
        || die "pip install $* failed: $(tail -3 "$scratch/pip.log")"
}
beside zipkin opentelemetry-exporter-zipkin-json opentelemetry-exporter-zipkin-proto-http
beside jaeger 'opentelemetry-exporter-jaeger-thrift==1.21.0' 'opentelemetry-sdk==1.21.0' setuptools
beside client jaeger-client six
"$python" -m pip list --disable-pip-version-check 2> /dev/null | grep -E '^(opentelemetry-sdk|py-zipkin) ' | tr -s ' '
ls "$scratch/zipkin" "$scratch/jaeger" "$scratch/client" | grep -E '(zipkin|jaeger).*dist-info'

read -r udp < <(free_ports 1)
cat > "$scratch/tern.yml" <<'YAML'
scrape_configs: []
span_metrics:
  interval: 2s
  service_graphs:
    wait: 5s
YAML
flags=(--config.file "$scratch/tern.yml" --jaeger.udp-listen-address "127.0.0.1:$udp")
start_tern "${flags[@]}"

# send FOLDER SENDER...: each in a process of its own.
send() {
    local folder=$1 sender
    shift
    for sender in "$@"; do
        PYTHONPATH=$folder PYTHONWARNINGS=ignore "$python" "$acceptance/spans.py" --send "$sender" --tern "$tern_url" --otlp "$tern_otlp" \
            --grpc "$tern_grpc" --udp "$udp" --results "$results" 2> "$scratch/$sender.err" \
            || record FAIL "$sender: ran to its end" "$(tail -1 "$scratch/$sender.err")"
    done
}
send "" otlp-http otlp-http-gzip otlp-grpc otlp-grpc-gzip py-zipkin
send "$scratch/zipkin" zipkin-json zipkin-proto
send "$scratch/jaeger" jaeger-thrift
send "$scratch/client" jaeger-client

status() { curl -s -o "$scratch/curl.out" -w '%{http_code}' --data-binary "$1" "${@:2}"; }
answered() { [ "$3" = "$2" ] && record PASS "curl: $1" "$3" || record FAIL "curl: $1" "$3 $(head -c 200 "$scratch/curl.out")"; }
micros=$(date +%s)000000
one='{"traceId":"00000000000000aa","id":"00000000000000ab","timestamp":'$micros'}'
answered "a Zipkin span in JSON" 202 "$(status "[$one]" -H 'Content-Type: application/json' "$tern_url/api/v2/spans")"
answered "one bad span beside a good one" 202 "$(status "[$one,{}]" -H 'Content-Type: application/json' "$tern_url/api/v2/spans")"
answered "no JSON" 400 "$(status '[{' -H 'Content-Type: application/json' "$tern_url/api/v2/spans")"
answered "damaged thrift" 400 "$(status 'abc' -H 'Content-Type: application/x-thrift' "$tern_url/api/traces")"
answered "thrift of another type" 415 "$(status 'abc' -H 'Content-Type: application/json' "$tern_url/api/traces")"

find_all() {
    "$python" "$acceptance/spans.py" --find "$1" --tern "$tern_url" --results "$results" || record FAIL "$1: the checks ran to their end"
}
find_all live
stop tern KILL
start_tern "${flags[@]}"
find_all "after kill -9"
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
