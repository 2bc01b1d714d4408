#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same answers as Prometheus: Debian's prometheus scrapes itself and prometheus-node-exporter every second, writes
# everything to Tern by remote write, then both are asked the queries of node-queries.txt at the same times and every label
# and number is compared (1e-9 relative). Again after a kill -9, and again after everything was sealed into parts.
#
# prometheus.sh [--minutes 10] [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

minutes=10
options "minutes" "$@"
[ "$minutes" -ge 6 ] || die "--minutes is at least 6: the longest query looks back four minutes"
need_binary
debian prometheus prometheus-node-exporter curl python3

read -r prometheus_port node_port < <(free_ports 2)
prometheus_url=http://127.0.0.1:$prometheus_port
start_tern

configuration() {
    cat <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: prometheus
    static_configs: [{targets: ["127.0.0.1:$prometheus_port"]}]
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$node_port"]}]
YAML
    [ "$1" = sending ] && printf 'remote_write:\n  - url: %s/api/v1/write\n' "$tern_url"
}
configuration sending > "$scratch/prometheus.yml"
start node prometheus-node-exporter --web.listen-address="127.0.0.1:$node_port"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus" \
    --web.listen-address="127.0.0.1:$prometheus_port"
wait_for 30 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
echo "scraping for $minutes minutes ($(prometheus --version 2>&1 | head -1))"
started=$SECONDS

# plan LABEL FILE: chooses times that end now and checks that everything until then has arrived.
plan() {
    python3 "$acceptance/prometheus_compare.py" plan --prometheus "$prometheus_url" --tern "$tern_url" --label "$1" \
        --plan "$scratch/$2" --results "$results" --seconds $((SECONDS - started)) || die "no plan"
}
compare() {
    python3 "$acceptance/prometheus_compare.py" compare --prometheus "$prometheus_url" --tern "$tern_url" --label "$1" \
        --plan "$scratch/$2" --results "$results" --queries "$acceptance/node-queries.txt" || die "no comparison"
}

sleep $((minutes * 60))
plan "live" live.json
compare "live" live.json

# Prometheus goes on scraping while Tern is dead and sends what it could not; nothing acknowledged may be missing.
stop tern KILL
sleep 3
start_tern
compare "after kill -9" live.json
sleep 20
plan "across the kill" across.json
compare "across the kill" across.json

# No more writes, a short seal age: the heads empty themselves into parts, and the answers come from parts alone.
configuration silent > "$scratch/prometheus.yml"
kill -HUP "${process_of[prometheus]}"
sleep 5
stop tern TERM
start_tern --storage.seal-age 1s
sealed() { [ "$(self_metric tern_storage_head_bytes)" = 0 ]; }
if wait_for 90 sealed; then
    record PASS "all heads sealed" "$(curl -s "$tern_url/metrics" | grep '^tern_storage_parts{' | tr '\n' ' ')"
else
    record FAIL "all heads sealed" "tern_storage_head_bytes $(self_metric tern_storage_head_bytes)"
fi
compare "sealed" live.json
compare "sealed, across the kill" across.json

stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
