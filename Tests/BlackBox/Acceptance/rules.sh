#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rules over logs and traces, and rules over the past: lines and spans are pushed over HTTP, groups with `language: logql` and
# `language: traceql` record series and raise alerts that Debian's prometheus-alertmanager receives; then samples, lines and spans
# of two hours ago come in, and `tern rules backfill` evaluates over them.
#
# rules.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian prometheus-alertmanager curl python3

read -r am_port < <(free_ports 1)
alerts=http://127.0.0.1:$am_port
ask() { python3 "$acceptance/rules_check.py" "$@" --tern "$tern_url" --alertmanager "$alerts" --results "$results"; }

cat > "$scratch/live.yml" <<'YAML'
groups:
  - name: lines
    language: logql
    interval: 2s
    rules:
      - record: app:declined:count20s
        expr: 'sum by (app, level) (count_over_time({app="payment"} |= "card declined" | logfmt | level != "" [20s]))'
        labels: {source: logs}
      - alert: Declined
        expr: 'sum by (app) (count_over_time({app="payment"} |= "card declined" [20s])) > 2'
        for: 2s
        labels: {severity: page}
        annotations:
          summary: '{{ $labels.app }}: {{ $value }} cards declined'
          recorded: '{{ with query "sum(app:declined:count20s)" }}{{ . | first | value }}{{ end }}'
  - name: traces
    language: traceql
    interval: 5s
    rules:
      - record: service:failed_traces:count
        expr: '{ status = error && .http.route = "/pay" }'
      - alert: TracesFail
        expr: '{ status = error && .http.route = "/pay" }'
        labels: {severity: page}
        annotations: {summary: '{{ $labels.service }}: {{ $value }} traces failed'}
YAML
cat > "$scratch/past.yml" <<'YAML'
groups:
  - name: past
    rules:
      - record: job:work:rate5m
        expr: sum by (job) (rate(work_total[5m]))
      - record: job:work:per_minute
        expr: job:work:rate5m * 60
        labels: {unit: minute}
      - alert: PassedOver
        expr: job:work:rate5m > 0
  - name: past lines
    language: logql
    rules:
      - record: app:lines:count1m
        expr: 'sum by (app) (count_over_time({app="history"}[1m]))'
  - name: past traces
    language: traceql
    interval: 1m
    rules:
      - record: service:past_traces:count
        expr: '{ .http.route = "/history" }'
YAML
cat > "$scratch/tern.yml" <<YAML
rule_files: ["live.yml"]
alerting: {alertmanagers: [{static_configs: [{targets: ["127.0.0.1:$am_port"]}]}]}
scrape_configs: []
YAML
cat > "$scratch/alertmanager.yml" <<'YAML'
route: {receiver: none, group_wait: 1s}
receivers: [{name: none}]
YAML
start alertmanager prometheus-alertmanager --config.file="$scratch/alertmanager.yml" --storage.path="$scratch/alertmanager" \
    --web.listen-address="127.0.0.1:$am_port" --cluster.listen-address=
wait_for 30 answers "$alerts/-/ready" || die "no Alertmanager: $(tail -3 "$scratch/alertmanager.log")"
check "tern check rules" "$binary" check rules "$scratch/live.yml" "$scratch/past.yml"

backfill() {
    "$binary" rules backfill --url "$tern_url" --start "$from" --end "$until" --eval-interval 1m "$@"
}
until=$(($(date +%s) / 60 * 60 - 3600))
from=$((until - 3600))

# Without the admin API it says what to do, and writes nothing.
start_tern --config.file "$scratch/tern.yml"
if backfill "$scratch/past.yml" > "$scratch/refused.log" 2>&1; then record FAIL "backfill without the admin API" "exit 0"; else
    check "backfill without the admin API is refused" grep -q "admin APIs disabled" "$scratch/refused.log"
fi
stop tern TERM
start_tern --config.file "$scratch/tern.yml" --web.enable-admin-api

ask live || die "no answer"
ask past --start "$from" --end "$until" || die "no answer"
check "backfill" backfill "$scratch/past.yml"
ask backfilled --start "$from" --end "$until" || die "no answer"
check "backfill again" backfill "$scratch/past.yml"
ask backfilled --start "$from" --end "$until" || die "no answer"
if backfill "$scratch/nothing.yml" > "$scratch/refused.log" 2>&1; then record FAIL "a file that is not there" "exit 0"; else
    check "a file that is not there" grep -q "cannot read $scratch/nothing.yml" "$scratch/refused.log"
fi
printf 'groups: [{name: g, rules: [{record: a, expr: "b +"}]}]' > "$scratch/bad.yml"
if backfill "$scratch/bad.yml" > "$scratch/refused.log" 2>&1; then record FAIL "a bad rule" "exit 0"; else
    check "a bad rule" grep -q "could not parse expression" "$scratch/refused.log"
fi

# What was recorded is as durable as any other sample.
stop tern KILL
start_tern --config.file "$scratch/tern.yml"
ask backfilled --start "$from" --end "$until" || die "no answer"
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
