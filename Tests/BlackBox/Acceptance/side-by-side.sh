#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One prometheus.yml, used unchanged by Debian's prometheus and by Tern at the same time: the same targets (node_exporter, etcd,
# docker-registry, pushgateway, blackbox with relabelled targets, file discovery), the same rules, an Alertmanager each. While they
# run, groups are pushed and deleted, a target is added, one removed, one dies and comes back. At the end side_by_side.py compares
# series, values, ends of series, `up`, ALERTS, rules, targets, metadata and what the Alertmanagers' webhooks received; what is
# excepted stands there, by name and with its reason.
#
# side-by-side.sh [--minutes 30] [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

minutes=30
options "minutes" "$@"
[ "$minutes" -ge 3 ] || die "--minutes is at least 3: alerts have to wait, fire and be resolved"
need_binary
debian prometheus prometheus-alertmanager prometheus-node-exporter prometheus-pushgateway prometheus-blackbox-exporter \
    etcd-server docker-registry curl python3

read -r prometheus_port node_port etcd_port etcd_peer registry_port registry_debug push_port blackbox_port \
    dying_port leaving_port coming_port nobody_port hook_port am_tern am_prometheus < <(free_ports 15)
prometheus_url=http://127.0.0.1:$prometheus_port
push_url=http://127.0.0.1:$push_port

# The targets, all from Debian.
small=(prometheus-node-exporter --collector.disable-defaults --collector.loadavg --collector.time --collector.uname)
start node prometheus-node-exporter --web.listen-address="127.0.0.1:$node_port"
start_dying() { start dying "${small[@]}" --web.listen-address="127.0.0.1:$dying_port"; }
start_dying
start leaving "${small[@]}" --web.listen-address="127.0.0.1:$leaving_port"
start coming "${small[@]}" --web.listen-address="127.0.0.1:$coming_port"
start etcd etcd --name one --data-dir "$scratch/etcd" --listen-client-urls "http://127.0.0.1:$etcd_port" \
    --advertise-client-urls "http://127.0.0.1:$etcd_port" --listen-peer-urls "http://127.0.0.1:$etcd_peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$etcd_peer" --initial-cluster "one=http://127.0.0.1:$etcd_peer"
cat > "$scratch/registry.yml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $scratch/registry}}
http:
  addr: 127.0.0.1:$registry_port
  debug:
    addr: 127.0.0.1:$registry_debug
    prometheus: {enabled: true, path: /metrics}
YAML
start registry docker-registry serve "$scratch/registry.yml"
start pushgateway prometheus-pushgateway --web.listen-address="127.0.0.1:$push_port"
cat > "$scratch/blackbox.yml" <<'YAML'
modules:
  http_2xx: {prober: http, timeout: 2s}
  tcp_connect: {prober: tcp, timeout: 2s}
YAML
start blackbox prometheus-blackbox-exporter --config.file="$scratch/blackbox.yml" --web.listen-address="127.0.0.1:$blackbox_port"

mkdir "$scratch/targets" "$scratch/rules" "$scratch/tern" "$scratch/prometheus"
# discover NAME...: the file of file discovery, replaced in one step.
discover() {
    local name port separator=
    {
        echo '['
        for name in "$@"; do
            port=${name}_port
            printf '%s{"targets": ["127.0.0.1:%s"], "labels": {"role": "%s", "team_owner": "core", "__meta_zone": "north"}}\n' \
                "$separator" "${!port}" "$name"
            separator=,
        done
        echo ']'
    } > "$scratch/targets.next"
    mv "$scratch/targets.next" "$scratch/targets/small.json"
}
discover dying leaving

cat > "$scratch/prometheus.yml" <<YAML
global:
  scrape_interval: 15s
  scrape_timeout: 5s
  evaluation_interval: 15s
  external_labels: {cluster: test, replica: one}
rule_files: ["$scratch/rules/*.yml"]
alerting:
  alert_relabel_configs:
    - {action: labeldrop, regex: replica}
  alertmanagers:
    # The one file that differs stands beside the configuration: who is to be told.
    - file_sd_configs: [{files: [alertmanager.json]}]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:$node_port"], labels: {rack: "7"}}]
    metric_relabel_configs:
      - {source_labels: [__name__], regex: "go_gc_.*|node_scrape_collector_duration_seconds", action: drop}
      - {source_labels: [__name__, mode], separator: ";", regex: "node_cpu_seconds_total;(steal|nice)", action: drop}
      - {source_labels: [device], regex: "(.+)", target_label: dev, replacement: "dev_\$1"}
      - {action: labelmap, regex: "mount(.+)", replacement: "at_\$1"}
      - {action: labeldrop, regex: "fs.*"}
  - job_name: etcd
    static_configs: [{targets: ["127.0.0.1:$etcd_port"]}]
  - job_name: docker-registry
    static_configs: [{targets: ["127.0.0.1:$registry_debug"]}]
  - job_name: pushgateway
    honor_labels: true
    static_configs: [{targets: ["127.0.0.1:$push_port"]}]
  - job_name: pushgateway-not-honoured
    static_configs: [{targets: ["127.0.0.1:$push_port"]}]
    metric_relabel_configs:
      - {source_labels: [__name__], regex: "(switch|work)(_.*)?|push_time_seconds", action: keep}
  - job_name: blackbox-http
    metrics_path: /probe
    params: {module: [http_2xx]}
    static_configs:
      - targets:
          - http://127.0.0.1:$registry_port/v2/
          - http://127.0.0.1:$etcd_port/version
          - http://127.0.0.1:$push_port/no-such-page
          - http://127.0.0.1:$nobody_port/
    relabel_configs: &probed
      - {source_labels: [__address__], target_label: __param_target}
      - {source_labels: [__param_target], target_label: instance}
      - {target_label: __address__, replacement: "127.0.0.1:$blackbox_port"}
  - job_name: blackbox-tcp
    metrics_path: /probe
    params: {module: [tcp_connect]}
    static_configs: [{targets: ["127.0.0.1:$etcd_peer", "127.0.0.1:$nobody_port"]}]
    relabel_configs: *probed
  - job_name: small
    file_sd_configs: [{files: ["$scratch/targets/*.json"], refresh_interval: 30s}]
    relabel_configs:
      - {action: labelmap, regex: "team_(.+)"}
      - {action: labeldrop, regex: "team_.+"}
      - {source_labels: [__meta_zone], target_label: zone, action: uppercase}
      - {source_labels: [__address__], target_label: shard, modulus: 4, action: hashmod}
YAML
cat > "$scratch/rules/recording.yml" <<'YAML'
groups:
  - name: recording
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - record: job:up:count
        expr: count by (job) (up)
        labels: {kind: count}
      - record: instance:node_cpu:rate1m
        expr: sum by (instance, mode) (rate(node_cpu_seconds_total[1m]))
      - record: job:probe_success:avg
        expr: avg by (job) (probe_success)
      - record: etcd:disk_wal_fsync:p99
        expr: histogram_quantile(0.99, sum by (le) (rate(etcd_disk_wal_fsync_duration_seconds_bucket[2m])))
      - record: job:switch:max
        expr: max by (job, name) (switch)
  - name: slower
    interval: 30s
    rules:
      - record: job:work_done:increase2m
        expr: sum by (name) (increase(work_done_total{job="batch"}[2m]))
      - record: team:switch:on
        expr: sum(switch{job="batch"} == 1) or vector(0)
        labels: {team: blue}
YAML
cat > "$scratch/rules/alerting.yml" <<'YAML'
groups:
  - name: alerting
    rules:
      - alert: TargetDown
        expr: up == 0
        for: 15s
        labels: {severity: page}
        annotations:
          summary: '{{ $labels.job }} at {{ $labels.role }} is down'
          cluster: '{{ $externalLabels.cluster }}'
      - alert: ProbeFails
        expr: probe_success == 0
        for: 30s
        labels:
          severity: '{{ if match "tcp" $labels.job }}ticket{{ else }}page{{ end }}'
        annotations:
          summary: '{{ $labels.instance | reReplaceAll ":[0-9]+" "" }} does not answer'
          others: '{{ range query "sum by (job) (probe_success) > 0" | sortByLabel "job" }}{{ .Labels.job }} has {{ .Value }}, {{ end }}'
      - alert: SwitchOn
        expr: job:switch:max{job="batch"} == 1
        for: 30s
        labels: {severity: ticket, team: ''}
        annotations:
          summary: '{{ $labels.name | title }} is {{ $value | humanize }}, {{ humanizeDuration 3725.5 }}, {{ humanize1024 1536 }}'
          broken: '{{ $value | toUpper }}'
      - alert: SwitchOnKept
        expr: job:switch:max{job="batch"} == 1
        keep_firing_for: 30s
        annotations: {summary: 'kept: {{ printf "%.2f" $value }}'}
      - alert: AlwaysOn
        expr: vector(42) > 1
        annotations: {value: '{{ $value }} {{ humanizePercentage 0.1234 }}'}
      - alert: Broken
        expr: vector(1) * on () group_left () (vector(1) or label_replace(vector(1), "a", "b", "", ""))
        labels: {severity: none}
YAML
cat > "$scratch/alertmanager.yml" <<YAML
route: {receiver: hook, group_by: [alertname], group_wait: 2s, group_interval: 5s, repeat_interval: 12h}
receivers: [{name: hook, webhook_configs: [{url: "http://127.0.0.1:$hook_port/", send_resolved: true}]}]
YAML
ask() { python3 "$acceptance/side_by_side.py" "$@"; }
start hook python3 "$acceptance/side_by_side.py" hook --port "$hook_port" --received "$scratch/received.jsonl"
for name in tern prometheus; do
    port=am_$name
    ln -s ../prometheus.yml "$scratch/$name/prometheus.yml"
    echo "[{\"targets\": [\"127.0.0.1:${!port}\"]}]" > "$scratch/$name/alertmanager.json"
    start "alertmanager-$name" prometheus-alertmanager --config.file="$scratch/alertmanager.yml" \
        --storage.path="$scratch/alertmanager-$name" --web.listen-address="127.0.0.1:${!port}" --cluster.listen-address=
    wait_for 30 answers "http://127.0.0.1:${!port}/-/ready" || die "no Alertmanager: $(tail -3 "$scratch/alertmanager-$name.log")"
done
for url in "$push_url/metrics" "http://127.0.0.1:$etcd_port/metrics" "http://127.0.0.1:$registry_debug/metrics" \
    "http://127.0.0.1:$blackbox_port/metrics" "http://127.0.0.1:$node_port/metrics"; do
    wait_for 30 answers "$url" || die "no target at $url"
done
check "promtool check config" promtool check config "$scratch/prometheus/prometheus.yml"
check "tern check config" "$binary" check config "$scratch/tern/prometheus.yml"

# push GROUP SWITCH DONE: replaces a group of the Pushgateway; job batch, instance empty as batch jobs have it.
push() {
    printf '# TYPE switch gauge\nswitch{name="%s"} %s\n# TYPE work_done_total counter\nwork_done_total{name="%s"} %s\n' \
        "$1" "$2" "$1" "$3" | curl -sf --data-binary @- -X PUT "$push_url/metrics/job/batch/group/$1" || die "push failed"
}
push alpha 0 0
push beta 0 0

start prometheus prometheus --config.file="$scratch/prometheus/prometheus.yml" --storage.tsdb.path="$scratch/prometheus-data" \
    --web.listen-address="127.0.0.1:$prometheus_port"
start_tern --config.file "$scratch/tern/prometheus.yml"
wait_for 30 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
began=$(date +%s)
cycles=$(((minutes + 2) / 5))
[ "$cycles" -ge 1 ] || cycles=1
length=$((minutes * 60 / cycles))
echo "side by side for $minutes minutes, $cycles cycles of events ($(prometheus --version 2>&1 | head -1); $("$binary" version | head -1))"

# Until SECONDS after the beginning of this cycle, with some traffic for etcd and the registry.
until_second() {
    local second
    while second=$(($(date +%s) - began - cycle * length)) && [ "$second" -lt "$1" ]; do
        curl -sf -o /dev/null -X POST "http://127.0.0.1:$etcd_port/v3/kv/put" -d '{"key": "a2V5", "value": "dmFsdWU="}'
        curl -s -o /dev/null "http://127.0.0.1:$registry_port/v2/nothing/tags/list"
        sleep 3
    done
}
# part OF_A_HUNDRED: that much of a cycle, in seconds.
part() { echo $((length * $1 / 100)); }
# agree NAME QUESTION: both servers say the same; they are given three intervals.
agree() {
    wait_for 45 ask "$2" --prometheus "$prometheus_url" --tern "$tern_url"
    check "$1" ask "$2" --prometheus "$prometheus_url" --tern "$tern_url"
}
# Changes that the same recorded sum shows are far enough apart for both servers to see each.
for ((cycle = 0; cycle < cycles; cycle++)); do
    until_second "$(part 10)"
    push alpha 1 $((cycle * 100 + 10))
    discover dying leaving coming
    until_second "$(part 28)"
    stop dying KILL
    push beta 1 $((cycle * 100 + 5))
    until_second "$(part 45)"
    agree "cycle $((cycle + 1)): rules and alerts, on and down" rules
    discover dying coming
    until_second "$(part 60)"
    push alpha 0 $((cycle * 100 + 60))
    curl -sf -X DELETE "$push_url/metrics/job/batch/group/beta" || die "delete failed"
    until_second "$(part 68)"
    start_dying
    until_second "$(part 80)"
    agree "cycle $((cycle + 1)): rules and alerts, off and up" rules
    push beta 0 1
    discover dying leaving coming
    until_second "$(part 95)"
    discover dying leaving
    until_second "$length"
done
agree "rules and alerts at the end" rules
agree "targets" targets
check "metadata" ask metadata --prometheus "$prometheus_url" --tern "$tern_url"
ask compare --prometheus "$prometheus_url" --tern "$tern_url" --began "$began" --results "$results" || die "no comparison"
ask received --began "$began" --received "$scratch/received.jsonl" --tern "127.0.0.1:$am_tern" --prometheus "127.0.0.1:$am_prometheus" \
    --results "$results" || die "no comparison of notifications"
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
