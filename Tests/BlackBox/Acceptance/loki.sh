#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Log clients: two logging handlers from PyPI, curl's JSON, Promtail's protobuf, and Debian's syslog-ng posting what
# `logger` gives it; every line is then found by LogQL. Debian's rsyslog is tried where it has an HTTP output.
#
# loki.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3 bsdutils syslog-ng-core syslog-ng-mod-http
pypi python-logging-loki loki-logger-handler python-snappy
"$python" -m pip list --disable-pip-version-check 2>/dev/null | grep -E '^(python-logging-loki|loki-logger-handler) ' | tr -s ' '
syslog-ng --version | head -1
start_tern

now=$(date +%s%N)
code=$(curl -s -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' "$tern_url/loki/api/v1/push" -d \
    '{"streams":[{"stream":{"app":"curl"},"values":[["'"$now"'","hello from curl",{"shell":"bash"}]]}]}')
found=$(curl -sG "$tern_url/loki/api/v1/query_range" --data-urlencode 'query={app="curl"} | shell="bash" |= "hello"')
if [ "$code" = 204 ] && grep -q 'hello from curl' <<< "$found"; then
    record PASS "curl: pushed and found"
else
    record FAIL "curl: pushed and found" "$code $found"
fi

read -r syslog_port < <(free_ports 1)
cat > "$scratch/syslog-ng.conf" <<CONF
@version: 3.38
source local { syslog(ip("127.0.0.1") port($syslog_port) transport("tcp")); };
template line {
  template('{"stream":{"job":"syslog","host":"\${HOST}","program":"\${PROGRAM}","severity":"\${LEVEL}"},"values":[["\${S_UNIXTIME}\${S_USEC}000","\${MESSAGE}"]]}');
  template-escape(yes);
};
destination tern {
  http(url("$tern_url/loki/api/v1/push") method("POST") headers("Content-Type: application/json")
       body('\$(template line)') body-prefix('{"streams":[') delimiter(",") body-suffix("]}") batch-lines(8) batch-timeout(500));
};
log { source(local); destination(tern); };
CONF
mkdir "$scratch/syslog-ng"
start syslog-ng syslog-ng --foreground --no-caps --cfgfile="$scratch/syslog-ng.conf" \
    --persist-file="$scratch/syslog-ng/persist" --pidfile="$scratch/syslog-ng/pid" --control="$scratch/syslog-ng/control"
listening() { (exec 3<> "/dev/tcp/127.0.0.1/$syslog_port"); }
if wait_for 20 listening; then
    syslog=yes
    for number in $(seq 20); do
        logger --server 127.0.0.1 --port "$syslog_port" --tcp --octet-count --rfc5424=notq --tag smartd --priority daemon.warning \
            "disk $number is \"warm\""
    done
else
    syslog=no
    record FAIL "syslog-ng: started" "$(tail -2 "$scratch/syslog-ng.log")"
fi
if compgen -G '/usr/lib/*/rsyslog/omhttp.so' > /dev/null; then
    record FAIL "rsyslog has omhttp here: extend this script"
else
    record SKIP "rsyslog: Debian's packages have no HTTP output (omhttp)"
fi

"$python" "$acceptance/loki_clients.py" --tern "$tern_url" --results "$results" --syslog "$syslog" \
    || record FAIL "the checks ran to their end"
stop syslog-ng
stop tern TERM
check "tern check data" "$binary" check data "$scratch/data"
finish
