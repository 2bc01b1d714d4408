#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A shop of five services with OpenTelemetry's SDK, Prometheus' client and a database, and four faults in it, one after the other: a
# dropped index, an exception at a line, a burning CPU, a delay between two services. Each time `tern why` and the diagnosis over HTTP
# are asked at once what is wrong, against the stretch before and against the first minute. About six minutes.
#
# shop.sh [--binary .build/release/tern] [--keep]

source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

options "" "$@"
need_binary
debian curl python3
# The instrumentation exists as pre-releases only; naming one in the bound lets pip take it and nothing else.
pypi flask requests prometheus-client opentelemetry-sdk opentelemetry-exporter-otlp-proto-http \
    'opentelemetry-instrumentation-flask>=0.50b0' 'opentelemetry-instrumentation-requests>=0.50b0' \
    'opentelemetry-instrumentation-sqlite3>=0.50b0'
"$python" -m pip list --disable-pip-version-check 2> /dev/null | grep -E '^(Flask|opentelemetry-(sdk|instrumentation)) ' | tr -s ' '

services=(frontend cart payment shipping stock)
declare -A port_of=()
for service in "${services[@]}"; do read -r "port_of[$service]"; done < <(free_ports 7 | tee "$scratch/ports" | tr ' ' '\n')
read -r _ _ _ _ _ proxy control < "$scratch/ports"
{
    echo 'global: {scrape_interval: 5s}'
    echo 'scrape_configs:'
    for service in "${services[@]}"; do
        echo "  - {job_name: $service, static_configs: [{targets: ['127.0.0.1:${port_of[$service]}']}]}"
    done
} > "$scratch/tern.yml"
start_tern --config.file "$scratch/tern.yml"

local_url() { echo "http://127.0.0.1:$1"; }
"$python" "$acceptance/shop_check.py" schema "$scratch/shop.db" || die "no database"
for service in "${services[@]}"; do
    start "$service" env OTEL_EXPORTER_OTLP_ENDPOINT="$(local_url "$tern_otlp")" OTEL_BSP_SCHEDULE_DELAY=1000 \
        OTEL_BLRP_SCHEDULE_DELAY=1000 "$python" -W ignore "$acceptance/shop_application.py" "$service" "${port_of[$service]}" \
        "$scratch/shop.db" "$(local_url "${port_of[cart]}")" "$(local_url "${port_of[payment]}")" "$(local_url "$proxy")" \
        "$(local_url "${port_of[stock]}")"
done
start proxy "$python" "$acceptance/shop_proxy.py" "$proxy" "$control" "${port_of[shipping]}"
for service in "${services[@]}"; do
    wait_for 60 answers "$(local_url "${port_of[$service]}")/ready" || die "$service did not start: $(tail -3 "$scratch/$service.log")"
done

"$python" "$acceptance/shop_check.py" run --tern "$tern_url" --binary "$binary" --frontend "$(local_url "${port_of[frontend]}")" \
    --cart "$(local_url "${port_of[cart]}")" --payment "$(local_url "${port_of[payment]}")" --control "$control" \
    --database "$scratch/shop.db" --results "$results" || record FAIL "the checks ran to their end"
finish
