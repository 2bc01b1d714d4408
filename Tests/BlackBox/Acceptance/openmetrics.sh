#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Scraping: Debian's prometheus and Tern read the same prometheus.yml and scrape the same target, an application of PyPI's
# prometheus-client, in OpenMetrics and in the text format; series, values, stale markers, scrape reports, exemplars, metadata and targets are compared.
#
# openmetrics.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian prometheus curl python3
pypi prometheus-client
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^prometheus.client ' | tr -s ' '

read -r target_port prometheus_port < <(free_ports 2)
target_url=http://127.0.0.1:$target_port
prometheus_url=http://127.0.0.1:$prometheus_port
cat > "$scratch/prometheus.yml" <<YAML
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: shop
    static_configs:
      - targets: ["127.0.0.1:$target_port"]
        labels: {zone: eu-1}
  - job_name: limited
    sample_limit: 5
    static_configs: [{targets: ["127.0.0.1:$target_port"]}]
  - job_name: kept
    static_configs: [{targets: ["127.0.0.1:$target_port"]}]
    relabel_configs:
      - {source_labels: [__address__], regex: "(.*):.*", target_label: host, replacement: "\$1"}
    metric_relabel_configs:
      - {source_labels: [__name__], regex: "shop_(orders|request_seconds).*", action: keep}
      - {source_labels: [outcome], regex: refused, action: drop}
      - {regex: pod, action: labeldrop}
  - job_name: text
    metrics_path: /text
    static_configs: [{targets: ["127.0.0.1:$target_port"]}]
  - job_name: nobody
    static_configs: [{targets: ["127.0.0.1:1"]}]
YAML
start target "$python" "$acceptance/exposition_target.py" "$target_port"
wait_for 20 answers "$target_url/metrics" || die "the target did not start: $(tail -3 "$scratch/target.log")"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus" \
    --enable-feature=exemplar-storage --web.listen-address="127.0.0.1:$prometheus_port"
check "tern check config accepts the file" "$binary" check config "$scratch/prometheus.yml"
start_tern --config.file "$scratch/prometheus.yml"
wait_for 30 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
scraping() { curl -sG "$tern_url/api/v1/query" --data-urlencode 'query=up' | grep -q '"job":"shop"'; }
if wait_for 15 scraping; then
    "$python" "$acceptance/openmetrics_check.py" --target "$target_url" --prometheus "$prometheus_url" --tern "$tern_url" \
        --results "$results" || record FAIL "the checks ran to their end"
else
    record FAIL "the server scrapes" "no up series after 15 s: $(grep -i scrape "$scratch/tern.log" | tail -1)"
fi
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
