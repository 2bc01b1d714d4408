#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The same rules and alerts as Prometheus: Tern and Debian's prometheus run the same configuration over the same target, each
# with an Alertmanager of its own (Debian's prometheus-alertmanager). Compared are the rules' state, the ALERTS series and
# what the Alertmanagers received: pending, firing, resolved. Then Tern is killed while an alert waits, and must go on
# waiting from where it was.
#
# alerts.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian prometheus prometheus-alertmanager curl python3

read -r prometheus_port target_port am_tern am_prometheus < <(free_ports 4)
prometheus_url=http://127.0.0.1:$prometheus_port
ask() { python3 "$acceptance/alerts_check.py" "$@"; }

# The target: a page that this script rewrites.
mkdir "$scratch/page"
page() {
    printf '# TYPE switch gauge\nswitch{name="a",host="one.example.org:80"} %s\nswitch{name="b",host="two"} %s\nslow %s\n' \
        "$1" "$2" "$3" > "$scratch/page/next"
    mv "$scratch/page/next" "$scratch/page/metrics"
}
page 0 0 0
start target python3 -m http.server --bind 127.0.0.1 --directory "$scratch/page" "$target_port"

cat > "$scratch/rules.yml" <<'YAML'
groups:
  - name: switches
    rules:
      - record: name:switch:sum
        expr: sum by (name) (switch)
        labels: {team: blue}
      - alert: On
        expr: name:switch:sum == 1
        for: 3s
        labels:
          severity: '{{ if eq $labels.name "a" }}page{{ else }}ticket{{ end }}'
        annotations:
          summary: '{{ $labels.name }} is {{ $value | humanize }}'
          hosts: '{{ range query "switch == 1" }}{{ .Labels.host | stripPort }} {{ end }}'
          cluster: '{{ $externalLabels.cluster }}'
          broken: '{{ $value | toUpper }}'
      - alert: AlwaysOn
        expr: vector(42) > 1
        annotations: {value: '{{ printf "%.1f" $value }}'}
      - alert: Broken
        expr: switch * on (host) group_left () (switch or vector(1))
  - name: slow
    rules:
      - alert: Slow
        expr: slow == 1
        for: 20s
YAML
configuration() {
    cat <<YAML
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
  external_labels: {cluster: test, replica: one}
rule_files: ["rule*.yml"]
alerting:
  alert_relabel_configs:
    - {action: labeldrop, regex: replica}
  alertmanagers:
    - file_sd_configs: [{files: ["$2.json"]}]
scrape_configs:
  - job_name: switches
    static_configs: [{targets: ["127.0.0.1:$target_port"]}]
$1
YAML
}
configuration '    fallback_scrape_protocol: PrometheusText0.0.4' alertmanager-of-tern > "$scratch/tern.yml"
configuration '' alertmanager-of-prometheus > "$scratch/prometheus.yml"
echo "[{\"targets\": [\"127.0.0.1:$am_tern\"]}]" > "$scratch/alertmanager-of-tern.json"
echo "[{\"targets\": [\"127.0.0.1:$am_prometheus\"]}]" > "$scratch/alertmanager-of-prometheus.json"
cat > "$scratch/alertmanager.yml" <<'YAML'
route: {receiver: none, group_wait: 1s}
receivers: [{name: none}]
YAML
for name in tern prometheus; do
    port=am_$name
    start "alertmanager-$name" prometheus-alertmanager --config.file="$scratch/alertmanager.yml" \
        --storage.path="$scratch/alertmanager-$name" --web.listen-address="127.0.0.1:${!port}" --cluster.listen-address=
    wait_for 30 answers "http://127.0.0.1:${!port}/-/ready" || die "no Alertmanager: $(tail -3 "$scratch/alertmanager-$name.log")"
done
tern_alerts=http://127.0.0.1:$am_tern
prometheus_alerts=http://127.0.0.1:$am_prometheus

flags=(--rules.alert.for-grace-period 1s --rules.alert.resend-delay 3s)
start_tern --config.file "$scratch/tern.yml" "${flags[@]}"
start prometheus prometheus --config.file="$scratch/prometheus.yml" --storage.tsdb.path="$scratch/prometheus" \
    --web.listen-address="127.0.0.1:$prometheus_port" --rules.alert.for-grace-period=1s --rules.alert.resend-delay=3s
wait_for 30 answers "$prometheus_url/-/ready" || die "prometheus did not start: $(tail -3 "$scratch/prometheus.log")"
both() { ask same "$1" "$tern_url" "$prometheus_url"; }
both_received() { ask same received "$tern_alerts" "$prometheus_alerts"; }

check "an alert without a wait is received" wait_for 30 ask received "$tern_alerts" AlwaysOn
wait_for 30 ask received "$prometheus_alerts" AlwaysOn
check "rules at rest" both rules
check "alertmanagers" sh -c "curl -sf $tern_url/api/v1/alertmanagers | grep -q '127.0.0.1:$am_tern/api/v2/alerts'"

page 1 1 0
check "pending" wait_for 10 ask state "$tern_url" On pending
check "firing" wait_for 20 ask received "$tern_alerts" On
wait_for 20 ask received "$prometheus_alerts" On
sleep 3
check "rules while alerts fire" both rules
check "series ALERTS" both ALERTS
check "series of the recording rule" both 'name:switch:sum'
check "received by the Alertmanagers" both_received

page 1 0 0
sleep 6
check "one resolved: received" both_received
check "one resolved: series ALERTS" both ALERTS
page 0 0 0
check "all resolved" wait_for 20 ask gone "$tern_alerts" On
sleep 4
check "all resolved: rules" both rules
check "all resolved: received" both_received

# The wait of an alert goes on after a kill; only the time the server was away does not count.
page 0 0 1
check "slow alert waits" wait_for 10 ask state "$tern_url" Slow pending
sleep 8
before=$(ask since "$tern_url" Slow)
stop tern KILL
sleep 4
start_tern --config.file "$scratch/tern.yml" "${flags[@]}"
taken_up() {
    python3 - "$before" "$(ask since "$tern_url" Slow)" <<'PYTHON'
import sys
from datetime import datetime
before, after = (datetime.fromisoformat(text[:19]) for text in sys.argv[1:])
moved = (after - before).total_seconds()
# Away for four seconds and what a start and an evaluation take; a new wait would have moved by twelve and more.
sys.exit(0 if 3 <= moved <= 9 else f"moved by {moved} s")
PYTHON
}
check "the wait is taken up after kill -9" wait_for 10 taken_up
check "it fires in the end" wait_for 25 ask received "$tern_alerts" Slow

# A reload changes rules and keeps alerts.
sed -i 's/for: 20s/for: 19s/' "$scratch/rules.yml"
kill -HUP "${process_of[tern]}"
sleep 3
check "a reload keeps the alert" ask state "$tern_url" Slow firing
check "a reload takes the new rules" sh -c "curl -sf $tern_url/api/v1/rules | grep -q '\"duration\":19'"
printf 'groups:\n  - name: bad\n    rules: [{record: a, expr: "b +"}]\n' > "$scratch/rules-bad.yml"
kill -HUP "${process_of[tern]}"
sleep 2
check "a bad rule file changes nothing" ask state "$tern_url" Slow firing

stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
