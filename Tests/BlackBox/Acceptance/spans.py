# SPDX-License-Identifier: Apache-2.0
# Senders of spans.sh, and what becomes of what all of them send.
#
# Each sender makes the same calls: FRONT calls BACK, in a trace of its own each, and every fourth call fails in BACK. Names of services
# begin with the sender's; jaeger-client and the old SDK load other libraries, so each sender runs in a process of its own.

import argparse
import sys
import time

from acceptance import Table, get_json, wait_until

CALLS = 200
FAILED = CALLS // 4
SENDERS = [
    "otlp-http", "otlp-http-gzip", "otlp-grpc", "otlp-grpc-gzip", "py-zipkin", "zipkin-json", "zipkin-proto", "jaeger-thrift",
    "jaeger-client",
]


# ---- senders: each returns (spans sent, problems)


def exporter(name, args):
    if name.startswith("otlp-http"):
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(
            endpoint=f"http://127.0.0.1:{args.otlp}/v1/traces",
            compression=Compression.Gzip if name.endswith("gzip") else Compression.NoCompression)
    if name.startswith("otlp-grpc"):
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(
            endpoint=f"http://127.0.0.1:{args.grpc}", insecure=True,
            compression=Compression.Gzip if name.endswith("gzip") else Compression.NoCompression)
    if name == "zipkin-json":
        from opentelemetry.exporter.zipkin.json import ZipkinExporter

        return ZipkinExporter(endpoint=f"{args.tern}/api/v2/spans")
    if name == "zipkin-proto":
        from opentelemetry.exporter.zipkin.proto.http import ZipkinExporter

        return ZipkinExporter(endpoint=f"{args.tern}/api/v2/spans")
    from opentelemetry.exporter.jaeger.thrift import JaegerExporter

    return JaegerExporter(collector_endpoint=f"{args.tern}/api/traces?format=jaeger.thrift")


def send_with_sdk(name, args):
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    problems = []

    class Watched(SpanExporter):
        """Keeps what the exporter says of each batch."""

        def __init__(self):
            self.inner = exporter(name, args)

        def export(self, spans):
            try:
                result = self.inner.export(spans)
            except Exception as error:
                # The SDK logs it and goes on.
                problems.append(str(error))
                raise
            if result != SpanExportResult.SUCCESS:
                problems.append(str(result))
            return result

        def shutdown(self):
            self.inner.shutdown()

        def force_flush(self, timeout_millis=30000):
            return True

    providers = []

    def tracer(side):
        resource = Resource.create({"service.name": f"{name}-{side}", "service.instance.id": f"{side}-1"})
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(Watched(), max_export_batch_size=64, schedule_delay_millis=200))
        providers.append(provider)
        return provider.get_tracer("spans.py", "1.0")

    front, back = tracer("front"), tracer("back")
    for call in range(CALLS):
        with front.start_as_current_span("call", kind=trace.SpanKind.CLIENT) as outer:
            outer.set_attribute("call", call)
            with back.start_as_current_span("answer", kind=trace.SpanKind.SERVER) as inner:
                inner.set_attribute("http.method", "GET")
                inner.add_event("received", {"bytes": 12})
                if call % 4 == 0:
                    inner.set_status(trace.Status(trace.StatusCode.ERROR, "out of stock"))
    for provider in providers:
        if not provider.force_flush(30000):
            problems.append("force_flush gave up")
        provider.shutdown()
    return 2 * CALLS, problems


def send_with_py_zipkin(name, args):
    """Client and server share the span id, as Zipkin's own libraries have it."""
    import urllib.request

    from py_zipkin import Encoding
    from py_zipkin.util import ZipkinAttrs, generate_random_64bit_string
    from py_zipkin.zipkin import zipkin_client_span, zipkin_server_span

    problems = []

    def transport(body):
        request = urllib.request.Request(
            f"{args.tern}/api/v2/spans", data=body.encode() if isinstance(body, str) else body, headers={"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request) as answer:
                if answer.status != 202:
                    problems.append(f"{answer.status} {answer.read()[:200]}")
        except OSError as error:
            # py-zipkin logs it and goes on.
            problems.append(str(error))
            raise

    for call in range(CALLS):
        outer = zipkin_client_span(
            service_name=f"{name}-front", span_name="call", transport_handler=transport, sample_rate=100,
            use_128bit_trace_id=call % 2 == 0, encoding=Encoding.V2_JSON)
        with outer:
            of = outer.zipkin_attrs
            # Half of them share the client's span, the others have one of their own below it.
            shared = call % 2 == 1
            inner = zipkin_server_span(
                service_name=f"{name}-back", span_name="answer", transport_handler=transport, encoding=Encoding.V2_JSON,
                zipkin_attrs=ZipkinAttrs(
                    trace_id=of.trace_id, span_id=of.span_id if shared else generate_random_64bit_string(),
                    parent_span_id=of.parent_span_id if shared else of.span_id, flags="0", is_sampled=True))
            with inner:
                if call % 4 == 0:
                    inner.update_binary_annotations({"error": "out of stock"})
    return 2 * CALLS, problems


def send_with_jaeger_client(name, args):
    from jaeger_client import Config

    def tracer(side):
        return Config(
            config={
                "sampler": {"type": "const", "param": 1}, "reporter_flush_interval": 0.1,
                "local_agent": {"reporting_host": "127.0.0.1", "reporting_port": args.udp},
            }, service_name=f"{name}-{side}", validate=True).new_tracer()

    front, back = tracer("front"), tracer("back")
    for call in range(CALLS):
        with front.start_span("call", tags={"span.kind": "client", "call": call}) as outer:
            with back.start_span("answer", child_of=outer.context, tags={"span.kind": "server"}) as inner:
                inner.log_kv({"event": "received", "bytes": 12})
                if call % 4 == 0:
                    inner.set_tag("error", True)
        # Datagrams have no back-pressure.
        time.sleep(0.002)
    for one in (front, back):
        one.close()
    time.sleep(2)
    return 2 * CALLS, []


def send(name, args, table):
    if name == "py-zipkin":
        sent, problems = send_with_py_zipkin(name, args)
    elif name == "jaeger-client":
        sent, problems = send_with_jaeger_client(name, args)
    else:
        sent, problems = send_with_sdk(name, args)
    table.check(f"{name}: every export succeeds", not problems, f"{sent} spans" if not problems else problems[:3])


# ---- what is found


def value(tern, query):
    data = get_json(f"{tern}/api/v1/query", {"query": query})["data"]["result"]
    return float(data[0]["value"][1]) if data else 0.0


def counted(tern, query, want, seconds=40):
    """The value of a query, once it is what is wanted or time is up."""
    got = 0.0

    def ask():
        nonlocal got
        got = value(tern, query)
        return got == want

    wait_until(ask, seconds)
    return got


def find(phase, args, table):
    for name in SENDERS:
        service = f"{name}-back"

        def spans():
            services = get_json(f"{args.tern}/api/v1/correlate/services")["data"]
            return {one["name"]: one["spanCount"] for one in services}.get(service, 0)

        got = wait_until(lambda: spans() >= CALLS and spans(), 20) or spans()
        table.check(f"{phase}: {name}: spans", got == CALLS, f"{got} of {CALLS}")
        found = get_json(
            f"{args.tern}/api/search",
            {"q": f'{{resource.service.name="{service}" && status=error}}', "limit": "1000"})["traces"]
        table.check(f"{phase}: {name}: failed calls are found", len(found) == FAILED, f"{len(found)} of {FAILED}")
        if found:
            trace = get_json(f"{args.tern}/api/traces/{found[0]['traceID'].rjust(32, '0')}", headers={"Accept": "application/json"})
            text = str(trace)
            both = f"{name}-front" in text and service in text
            table.check(f"{phase}: {name}: a trace by id has both sides", both, found[0]["traceID"])
        if phase == "live":
            # Counters begin anew with a process; the spans of the last one are not counted again.
            calls = counted(args.tern, f'sum(traces_spanmetrics_calls_total{{service="{service}"}})', CALLS)
            table.check(f"{phase}: {name}: span metrics", calls == CALLS, f"{calls:g} calls of {CALLS}")
            edge = f'{{client="{name}-front",server="{service}"}}'
            edges = counted(args.tern, f"sum(traces_service_graph_request_total{edge})", CALLS)
            failed = counted(args.tern, f"sum(traces_service_graph_request_failed_total{edge})", FAILED)
            table.check(
                f"{phase}: {name}: service graph", (edges, failed) == (CALLS, FAILED), f"{edges:g} calls, {failed:g} failed")
    if phase == "live":
        share = counted(args.tern, "count(count by (service) (traces_spanmetrics_latency_bucket))", 2 * len(SENDERS))
        table.check("live: latencies of every service", share >= 2 * len(SENDERS), f"{share:g} services")
        exemplars = get_json(
            f"{args.tern}/api/v1/query_exemplars",
            {"query": "traces_spanmetrics_latency_bucket", "start": time.time() - 600, "end": time.time() + 60})["data"]
        names = {name for one in exemplars for exemplar in one["exemplars"] for name in exemplar["labels"]}
        table.check("live: exemplars name traces", names == {"trace_id"}, f"{len(exemplars)} series, {names}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--send")
    parser.add_argument("--find")
    parser.add_argument("--tern", required=True)
    parser.add_argument("--otlp", type=int)
    parser.add_argument("--grpc", type=int)
    parser.add_argument("--udp", type=int)
    parser.add_argument("--results", required=True)
    args = parser.parse_args()
    table = Table(args.results)
    if args.send:
        send(args.send, args, table)
    else:
        find(args.find, args, table)


if __name__ == "__main__":
    sys.exit(main())
