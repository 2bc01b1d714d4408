# SPDX-License-Identifier: Apache-2.0
# What the acceptance scripts share: options, packages, processes that end with the script, one table of results.
# Sourced, never run. Each script starts real programs on loopback, in a scratch folder that goes away with it.

set -u -o pipefail
export PYTHONDONTWRITEBYTECODE=1

acceptance=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$acceptance/../../.." && pwd)
binary=$repository/.build/release/tern
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tern-acceptance.XXXXXX")
results=$scratch/results.tsv
: > "$results"
declare -A process_of=()

# Stops what this script started, by process id, and removes the scratch folder; runs at every way out.
cleanup() {
    local name
    for name in "${!process_of[@]}"; do stop "$name" TERM; done
    if [ "${keep:-no}" = yes ]; then echo "kept $scratch"; else rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

die() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

# options "NAME..." ARGUMENT...: reads --binary, --keep and, for each NAME, --NAME VALUE into variables of those names.
options() {
    local names=" binary $1 " name
    shift
    while [ $# -gt 0 ]; do
        name=${1#--}
        if [ "$1" = --keep ]; then
            keep=yes
            shift
        elif [ "$1" != "$name" ] && [[ $names == *" $name "* ]]; then
            [ $# -ge 2 ] || die "$1 takes a value"
            printf -v "$name" %s "$2"
            shift 2
        else
            die "unknown option $1"
        fi
    done
}

# need_binary: makes $binary absolute and checks that it runs.
need_binary() {
    [ -x "$binary" ] || die "no server binary at $binary; build it with 'make build' or name one with --binary"
    binary=$(realpath "$binary")
}

# debian PACKAGE...: installs what is missing.
debian() {
    local package missing=() root=()
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    [ "$(id -u)" = 0 ] || root=(sudo)
    echo "installing ${missing[*]}"
    "${root[@]}" apt-get update -qq || die "apt-get update failed"
    # A service of the package must not start: the scripts run their own on ports of their own.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        > "$scratch/apt.log" 2>&1 || die "apt-get install ${missing[*]} failed: $(tail -3 "$scratch/apt.log")"
}

# unpacked PACKAGE...: their files below $unpacked, without installing them: for daemons that exclude each other as packages or would
# be started by their installation. What they depend on is named too, or is installed with `debian`.
unpacked=$scratch/packages
unpacked() {
    mkdir -p "$unpacked" "$scratch/downloads"
    (cd "$scratch/downloads" && apt-get download -qq "$@" > "$scratch/apt.log" 2>&1) \
        || { apt-get update -qq 2> /dev/null; (cd "$scratch/downloads" && apt-get download -qq "$@" > "$scratch/apt.log" 2>&1); } \
        || die "apt-get download $* failed: $(tail -3 "$scratch/apt.log")"
    local file
    for file in "$scratch"/downloads/*.deb; do dpkg -x "$file" "$unpacked"; rm "$file"; done
    unpacked_libraries=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu:$unpacked/usr/lib/x86_64-linux-gnu/systemd
}

# pypi PACKAGE...: a virtual environment of this script's own; $python is its interpreter.
pypi() {
    python3 -m venv "$scratch/venv" 2> "$scratch/venv.log" || {
        debian python3-venv
        /usr/bin/python3 -m venv "$scratch/venv" || die "no virtual environment: $(tail -3 "$scratch/venv.log")"
    }
    python=$scratch/venv/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check "$@" > "$scratch/pip.log" 2>&1 \
        || die "pip install $* failed: $(tail -3 "$scratch/pip.log")"
}

# free_ports N: prints N free loopback ports, all different; below those that the system gives to outgoing connections, so that
# none of these takes one before its server has started.
free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys
held = []
for port in random.sample(range(12000, 32000), 5000):
    if len(held) == int(sys.argv[1]):
        break
    one = socket.socket()
    try:
        one.bind(("127.0.0.1", port))
        held.append(one)
    except OSError:
        one.close()
print(*[one.getsockname()[1] for one in held])
PYTHON
}

# start NAME COMMAND...: runs it in the background, its output in $scratch/NAME.log.
start() {
    local name=$1
    shift
    "$@" >> "$scratch/$name.log" 2>&1 &
    process_of[$name]=$!
}

# stop NAME [SIGNAL]: signals that process and waits for its end, 30 s at most.
stop() {
    local name=$1 signal=${2:-TERM} id=${process_of[$1]:-} turn
    [ -n "$id" ] || return 0
    unset "process_of[$name]"
    {
        kill -"$signal" "$id"
        for turn in $(seq 300); do
            kill -0 "$id" || break
            sleep 0.1
            [ "$turn" = 300 ] && kill -KILL "$id"
        done
        wait "$id"
    } 2> /dev/null
    return 0
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
    local seconds=$1 end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.3
    done
}

answers() { curl -sf -o /dev/null "$1"; }

# start_tern [FLAG...]: the server on $tern_http, $tern_otlp and $tern_grpc over $scratch/data; waits till it is ready.
# Unless a configuration is given it scrapes nothing, itself neither: what is counted afterwards came from the clients.
# The built-in rules are off, unless $tern_watch is true: rules are compared with those of others.
start_tern() {
    if [ -z "${tern_http:-}" ]; then
        read -r tern_http tern_otlp tern_grpc < <(free_ports 3)
        tern_url=http://127.0.0.1:$tern_http
    fi
    [[ " $* " = *" --config.file "* ]] || {
        echo 'scrape_configs: []' > "$scratch/no-scrapes.yml"
        set -- --config.file "$scratch/no-scrapes.yml" "$@"
    }
    start tern "$binary" serve --storage.path "$scratch/data" --web.listen-address "127.0.0.1:$tern_http" \
        --otlp.http-listen-address "127.0.0.1:$tern_otlp" --otlp.grpc-listen-address "127.0.0.1:$tern_grpc" --rules.watch "${tern_watch:-false}" "$@"
    wait_for 60 answers "$tern_url/-/ready" || die "the server did not get ready: $(tail -3 "$scratch/tern.log")"
}

# self_metric NAME: the value of one series of Tern's /metrics, labels as written.
self_metric() { curl -sf "$tern_url/metrics" | awk -v name="$1" '$1 == name { print $2 }'; }

# record PASS|FAIL|SKIP NAME [DETAIL]: one row of the table.
record() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >> "$results"; }

# check NAME COMMAND...: PASS when it succeeds.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then record PASS "$name" "$(tail -1 <<< "$output")"; else record FAIL "$name" "$(tail -1 <<< "$output")"; fi
}

# finish: prints the table and a closing line, exits 1 when a row failed or there is none.
finish() {
    local passed failed skipped
    [ -n "${process_of[tern]:-}" ] && { kill -0 "${process_of[tern]}" 2>/dev/null || record FAIL "server still runs" "it ended by itself"; }
    echo
    awk -F '\t' '{ printf "%-5s %s%s\n", $1, $2, ($3 == "" ? "" : "  (" $3 ")") }' "$results"
    passed=$(grep -c '^PASS' "$results")
    failed=$(grep -c '^FAIL' "$results")
    skipped=$(grep -c '^SKIP' "$results")
    echo
    echo "$(basename "$0"): $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}
