#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The other ways in for logs, each with a real sender: elasticsearch-py 8 and 9, rsyslog (omelasticsearch; omfwd over UDP, TCP and TLS),
# util-linux's logger, syslog-ng, systemd-journal-upload with a journal file, fluent-logger and curl; what each sent is then found by
# LogQL, also after kill -9.
#
# log-doors.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3 bsdutils openssl libcurl4 libgnutls30 syslog-ng-core
unpacked rsyslog rsyslog-elasticsearch rsyslog-gnutls libestr0 libfastjson4 liblognorm5 systemd-journal-remote libsystemd-shared \
    libmicrohttpd12
pypi 'elasticsearch>=9,<10' fluent-logger
"$python" -m pip install --quiet --disable-pip-version-check --target "$scratch/elasticsearch8" 'elasticsearch>=8,<9' \
    > "$scratch/pip.log" 2>&1 || die "pip install elasticsearch 8 failed: $(tail -3 "$scratch/pip.log")"
rsyslog() { LD_LIBRARY_PATH=$unpacked_libraries "$unpacked/usr/sbin/rsyslogd" -M "$unpacked/usr/lib/x86_64-linux-gnu/rsyslog" "$@"; }
rsyslog -v | sed -n '1s/ (.*//p'
syslog-ng --version | head -1
logger --version
LD_LIBRARY_PATH=$unpacked_libraries "$unpacked/lib/systemd/systemd-journal-upload" --version | head -1

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$scratch/key.pem" -out "$scratch/cert.pem" -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2> /dev/null || die "openssl made no certificate"
echo 'a key for tests' | tr -d ' ' > "$scratch/fluent.key"
read -r udp tcp tls fluent rsyslog_in syslog_ng_in < <(free_ports 6)
flags=(--syslog.udp-listen-address "127.0.0.1:$udp" --syslog.tcp-listen-address "127.0.0.1:$tcp"
    --syslog.tls-listen-address "127.0.0.1:$tls" --syslog.tls-cert-file "$scratch/cert.pem" --syslog.tls-key-file "$scratch/key.pem"
    --fluent.listen-address "127.0.0.1:$fluent")
start_tern "${flags[@]}"

# logger: both formats, both transports and framings.
logger -n 127.0.0.1 -P "$udp" -d -t logger-udp -p auth.err --msgid ID7 --sd-id 'test@1' --sd-param 'k="v"' 'logger over udp'
logger -n 127.0.0.1 -P "$udp" -d --rfc3164 -t logger-old -p daemon.warning 'logger over udp, older format'
printf 'logger line %d\n' {1..200} | logger -n 127.0.0.1 -P "$tcp" -T -t logger-tcp
printf 'logger counted %d\n' {1..200} | logger -n 127.0.0.1 -P "$tcp" -T --octet-count -t logger-counted

mkdir "$scratch/rsyslog"
{
    cat <<CONF
global(workDirectory="$scratch/rsyslog" defaultNetstreamDriverCAFile="$scratch/cert.pem")
module(load="imtcp")
module(load="omelasticsearch")
input(type="imtcp" port="$rsyslog_in" address="127.0.0.1")
template(name="document" type="list") {
  constant(value="{\"@timestamp\":\"") property(name="timereported" dateFormat="rfc3339")
  constant(value="\",\"host\":\"") property(name="hostname" format="json")
  constant(value="\",\"app\":\"") property(name="programname" format="json")
  constant(value="\",\"severity\":\"") property(name="syslogseverity-text")
  constant(value="\",\"message\":\"") property(name="msg" format="json") constant(value="\"}")
}
action(type="omelasticsearch" server="127.0.0.1" serverport="$tern_http" template="document" searchIndex="rsyslog" searchType=""
       bulkmode="on" errorFile="$scratch/rsyslog/errors")
CONF
    for one in udp tcp counted tls; do
        echo "template(name=\"$one\" type=\"string\" string=\"<%PRI%>1 %timereported:::date-rfc3339% rsyslog-$one %app-name% %procid% %msgid% - %msg%\\n\")"
    done
    echo 'template(name="old" type="string" string="<%PRI%>%timereported% rsyslog-old %app-name%:%msg:::sp-if-no-1st-sp%%msg%")'
    cat <<CONF
action(type="omfwd" target="127.0.0.1" port="$udp" protocol="udp" template="udp")
action(type="omfwd" target="127.0.0.1" port="$tcp" protocol="tcp" template="tcp")
action(type="omfwd" target="127.0.0.1" port="$tcp" protocol="tcp" template="counted" TCP_Framing="octet-counted")
action(type="omfwd" target="127.0.0.1" port="$tcp" protocol="tcp" template="old")
action(type="omfwd" target="localhost" port="$tls" protocol="tcp" template="tls" StreamDriver="gtls" StreamDriverMode="1"
       StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost")
CONF
} > "$scratch/rsyslog.conf"
start rsyslog rsyslog -n -i "$scratch/rsyslog.pid" -f "$scratch/rsyslog.conf"

cat > "$scratch/syslog-ng.conf" <<CONF
@version: 3.38
source local { syslog(ip("127.0.0.1") port($syslog_ng_in) transport("tcp")); };
rewrite plain { set("syslog-ng-tcp", value("HOST")); };
rewrite private { set("syslog-ng-tls", value("HOST")); };
destination plain { syslog("127.0.0.1" port($tcp) transport("tcp")); };
destination private { syslog("localhost" port($tls) transport("tls") tls(ca-file("$scratch/cert.pem") peer-verify(required-trusted))); };
log { source(local); rewrite(plain); destination(plain); };
log { source(local); rewrite(private); destination(private); };
CONF
start syslog-ng syslog-ng --foreground --no-caps -f "$scratch/syslog-ng.conf" -R "$scratch/syslog-ng.persist" -p "$scratch/syslog-ng.pid" \
    -c "$scratch/syslog-ng.control"
port_open() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }
wait_for 20 port_open "$rsyslog_in" || die "rsyslog did not start: $(tail -3 "$scratch/rsyslog.log")"
wait_for 20 port_open "$syslog_ng_in" || die "syslog-ng did not start: $(tail -3 "$scratch/syslog-ng.log")"
printf 'relayed "line" %d\n' {1..300} | logger -n 127.0.0.1 -P "$rsyslog_in" -T -t relay -p local1.warning
printf 'relayed "line" %d\n' {1..300} | logger -n 127.0.0.1 -P "$syslog_ng_in" -T --octet-count -t relay -p local1.warning

# A journal file of 3000 entries, some with binary fields, written by systemd itself.
"$python" "$acceptance/log_doors.py" --phase journal > "$scratch/journal.export"
mkdir "$scratch/journal"
LD_LIBRARY_PATH=$unpacked_libraries "$unpacked/lib/systemd/systemd-journal-remote" -o "$scratch/journal/remote-test.journal" \
    "$scratch/journal.export" 2> "$scratch/journal.log" || die "no journal: $(tail -3 "$scratch/journal.log")"
upload() {
    LD_LIBRARY_PATH=$unpacked_libraries "$unpacked/lib/systemd/systemd-journal-upload" --url "$tern_url" \
        --directory "$scratch/journal" --save-state="$scratch/journal.state"
}
start journal-upload upload

doors() {
    PYTHONPATH=${2:-} "$python" "$acceptance/log_doors.py" --phase "$1" --tern "$tern_url" --fluent "$fluent" --results "$results"
}
doors elasticsearch "$scratch/elasticsearch8" || die "elasticsearch-py 8 did not run"
doors elasticsearch || die "elasticsearch-py 9 did not run"
doors fluent || die "fluent-logger did not run"

json() { curl -s -o "$scratch/curl.out" -w '%{http_code}' -H 'Content-Type: application/json' --data-binary @- "$@"; }
now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
posted() {
    [ "$2" = 204 ] && record PASS "curl: $1" || record FAIL "curl: $1" "$2 $(head -c 200 "$scratch/curl.out")"
}
posted "JSON lines, gzip" "$(printf '{"svc":"curl","msg":"json line","ts":"%s"}\n{"svc":"curl","a":1}\n' "$now" | gzip \
    | json -H 'Content-Encoding: gzip' "$tern_url/insert/jsonline?_stream_fields=svc")"
posted "Falco" "$(printf '{"output":"shell spawned","priority":"Critical","rule":"R","source":"syscall","time":"%s","output_fields":{"proc.name":"sh"}}' "$now" \
    | json "$tern_url/insert/falco")"
posted "audit webhook" "$(printf '{"kind":"EventList","items":[{"auditID":"1","verb":"delete","stageTimestamp":"%s","user":{"username":"eve"},"responseStatus":{"code":403}}]}' "$now" \
    | json "$tern_url/insert/kubernetes-audit")"
posted "Trivy" "$(echo '{"SchemaVersion":2,"ArtifactName":"app:1","Results":[{"Target":"t","Vulnerabilities":[{"VulnerabilityID":"CVE-1","Severity":"HIGH"}]}]}' \
    | json "$tern_url/insert/trivy")"

doors find || die "nothing was asked"
stop journal-upload TERM
# Sent again from the start, as after a lost state: nothing is stored twice.
rm -f "$scratch/journal.state"
start journal-upload upload
doors again || die "nothing was asked after the second upload"
stop journal-upload TERM
stop rsyslog TERM
stop syslog-ng TERM
stop tern KILL
start_tern "${flags[@]}" --fluent.shared-key-file "$scratch/fluent.key"
doors restart || die "nothing was asked after the restart"
finish
