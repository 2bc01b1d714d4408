#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Remote write out: Tern forwards to another Tern (2.0) and to Debian's prometheus (2.0 refused, then 1.0). Each destination is away for a
# while, and the sender is killed with kill -9 in between: at the end both hold every sample that the sender acknowledged.
#
# forwarding.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian prometheus curl python3

read -r prometheus_port other_http < <(free_ports 2)
prometheus_url=http://127.0.0.1:$prometheus_port
other_url=http://127.0.0.1:$other_http
echo 'global: {}' > "$scratch/prometheus.yml"
echo 'scrape_configs: []' > "$scratch/other.yml"
cat > "$scratch/sender.yml" <<YAML
global:
  external_labels: {region: eu}
scrape_configs: []
remote_write:
  - name: prometheus
    url: $prometheus_url/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    write_relabel_configs:
      - {source_labels: [__name__], regex: private.*, action: drop}
    queue_config: {batch_send_deadline: 1s, max_samples_per_send: 500}
  - name: other
    url: $other_url/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    queue_config: {batch_send_deadline: 1s, max_samples_per_send: 500}
YAML

start_prometheus() {
    start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus" \
        --web.listen-address="127.0.0.1:$prometheus_port" --web.enable-remote-write-receiver
    wait_for 60 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
}
start_other() {
    start other "$binary" serve --storage.path "$scratch/other" --web.listen-address "127.0.0.1:$other_http" \
        --config.file "$scratch/other.yml" --otlp.http-listen-address off --otlp.grpc-listen-address off
    wait_for 60 answers "$other_url/-/ready" || die "the other server did not get ready: $(tail -3 "$scratch/other.log")"
}
begin=$(date +%s)
# round FIRST COUNT: writes the rounds FIRST to FIRST + COUNT - 1 to the sender.
rounds() {
    python3 "$acceptance/forwarding.py" write --tern "$tern_url" --begin "$begin" --first "$1" --count "$2" \
        || die "the sender did not take round $1"
}

start_prometheus
start_other
start_tern --config.file "$scratch/sender.yml" --storage.seal-age 3s
rounds 0 40
sleep 2
stop prometheus TERM
rounds 40 40
stop tern KILL
start_tern --config.file "$scratch/sender.yml" --storage.seal-age 3s
rounds 80 40
stop other KILL
rounds 120 40
sleep 4
stop tern KILL
start_prometheus
start_tern --config.file "$scratch/sender.yml" --storage.seal-age 3s
rounds 160 40
start_other
rounds 200 40
stop tern TERM
start_tern --config.file "$scratch/sender.yml" --storage.seal-age 3s

python3 "$acceptance/forwarding.py" compare --tern "$tern_url" --prometheus "$prometheus_url" --other "$other_url" \
    --begin "$begin" --count 240 --results "$results" || die "no comparison"
grep -q '2.0 is not understood' "$scratch/tern.log" && record PASS "prometheus 2.42 gets 1.0" || record FAIL "prometheus 2.42 gets 1.0"
finish
