#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Remote write to the letter: the requests of the receiver compliance suite with the status and the -Written headers each must get
# (skipped where the corpora are not there), then Debian's vmagent and Prometheus as senders, nothing refused and nothing lost, also
# over a kill -9 of the server in between.
#
# remote-write.sh [--corpora FOLDER] [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

corpora=${TERN_CORPORA:-$repository/../shared/corpora}
options "corpora" "$@"
need_binary
debian curl python3 prometheus victoria-metrics
pypi prometheus-client
start_tern

cases=$corpora/compliance/remote-write-receiver.jsonl
if [ -f "$cases" ]; then
    python3 "$acceptance/remote_write_receiver.py" --cases "$cases" --tern "$tern_url" --results "$results" || die "no cases ran"
else
    record SKIP "receiver compliance: no corpora at $corpora"
fi

read -r target_port prometheus_port vmagent_port < <(free_ports 3)
start target "$python" "$acceptance/exposition_target.py" "$target_port"
wait_for 10 answers "http://127.0.0.1:$target_port/metrics" || die "the scrape target did not start"
cat > "$scratch/scrape.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: SENDER
    static_configs: [{targets: ["127.0.0.1:$target_port"]}]
YAML
sed 's/SENDER/vmagent/' "$scratch/scrape.yml" > "$scratch/vmagent.yml"
{ sed 's/SENDER/prometheus/' "$scratch/scrape.yml"; printf 'remote_write:\n  - url: %s/api/v1/write\n    send_exemplars: true\n' "$tern_url"; } \
    > "$scratch/prometheus.yml"
start vmagent vmagent -promscrape.config="$scratch/vmagent.yml" -remoteWrite.url="$tern_url/api/v1/write" \
    -remoteWrite.tmpDataPath="$scratch/vmagent-data" -httpListenAddr="127.0.0.1:$vmagent_port"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus-data" \
    --web.listen-address="127.0.0.1:$prometheus_port" --enable-feature=exemplar-storage
sleep 8
stop tern KILL
sleep 3
start_tern
sleep 8
stop vmagent
python3 "$acceptance/remote_write_senders.py" --tern "$tern_url" --prometheus "http://127.0.0.1:$prometheus_port" \
    --results "$results" || die "nothing was asked"
dropped=$(curl -s "http://127.0.0.1:$prometheus_port/metrics" \
    | awk '/^prometheus_remote_storage_(samples|exemplars|metadata)_failed_total/ { sum += $2 } END { print sum + 0 }')
[ "$dropped" = 0 ] && record PASS "prometheus: nothing refused" || record FAIL "prometheus: nothing refused" "$dropped failed"
# While the log is replayed the answer is 503, which a sender tries again.
refused=$(grep 'unexpected status code' "$scratch/vmagent.log" | grep -vc 503)
[ "$refused" = 0 ] && record PASS "vmagent: nothing refused" || record FAIL "vmagent: nothing refused" \
    "$(grep 'unexpected status' "$scratch/vmagent.log" | grep -v 503 | tail -1 | tr '\t' ' ')"
finish
