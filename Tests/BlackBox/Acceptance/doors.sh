#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The other ways in for metrics, each with a real sender: influxdb-client and influxdb from PyPI, graphyte, statsd, prometheus-client's
# push_to_gateway, Debian's collectd (write_graphite) and curl; what each sent is then found by PromQL, pushed groups also after kill -9.
#
# doors.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3 collectd-core
pypi influxdb-client influxdb graphyte statsd prometheus-client
"$python" -m pip list --disable-pip-version-check 2>/dev/null \
    | grep -E '^(influxdb-client|influxdb|graphyte|statsd|prometheus[-_]client) ' | tr -s ' ' | paste -sd ',' | sed 's/,/, /g'
collectd -h | sed -n '/^collectd [0-9]/s/,.*//p'
read -r graphite_port statsd_port < <(free_ports 2)
flags=(--graphite.listen-address "127.0.0.1:$graphite_port" --statsd.listen-address "127.0.0.1:$statsd_port"
    --statsd.flush-interval 1s --push.interval 2s)
start_tern "${flags[@]}"

code=$(printf '# TYPE curl_jobs counter\ncurl_jobs{queue="a"} 7\n' | gzip \
    | curl -s -o /dev/null -w '%{http_code}' -H 'Content-Encoding: gzip' --data-binary @- \
        "$tern_url/api/v1/import/prometheus?extra_label=dc=eu")
[ "$code" = 204 ] && record PASS "curl: exposition imported" || record FAIL "curl: exposition imported" "$code"

cat > "$scratch/collectd.conf" <<CONF
Hostname "box"
FQDNLookup false
Interval 1
BaseDir "$scratch/collectd"
PIDFile "$scratch/collectd.pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin load
LoadPlugin memory
LoadPlugin write_graphite
<Plugin write_graphite>
  <Node "tern">
    Host "127.0.0.1"
    Port "$graphite_port"
    Protocol "tcp"
    Prefix "collectd."
    UseTags false
  </Node>
</Plugin>
CONF
mkdir "$scratch/collectd"
start collectd collectd -f -C "$scratch/collectd.conf"

doors() {
    "$python" "$acceptance/doors.py" --phase "$1" --tern "$tern_url" --graphite "$graphite_port" --statsd "$statsd_port" \
        --results "$results"
}
doors send || die "the senders did not run"
stop collectd TERM
# The writer's buffer may have been cut; the server's must not have been.
stop tern KILL
start_tern "${flags[@]}"
doors restart || die "nothing was asked after the restart"
finish
