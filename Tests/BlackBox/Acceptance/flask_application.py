# SPDX-License-Identifier: Apache-2.0
# A small shop in Flask, instrumented by OpenTelemetry the way its users do it: traces, logs through the logging module,
# a counter and a histogram recorded inside the span (so that they carry exemplars). Where to send is read by the SDK from
# OTEL_EXPORTER_OTLP_*; the protocol is the first argument, http or grpc, the port the second.

import logging
import sys
import time

import flask
from opentelemetry import metrics, trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

protocol, port = sys.argv[1], int(sys.argv[2])
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

resource = Resource.create({"service.name": f"shop-{protocol}", "service.version": "1.4.2"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(traces)

reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=60_000)
meters = MeterProvider(resource=resource, metric_readers=[reader])
metrics.set_meter_provider(meters)

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
log = logging.getLogger("shop")
log.setLevel(logging.INFO)
log.addHandler(LoggingHandler(logger_provider=logs))

tracer = trace.get_tracer("shop")
meter = metrics.get_meter("shop")
orders = meter.create_counter("shop.orders", unit="1", description="Orders by outcome.")
duration = meter.create_histogram("shop.checkout.duration", unit="s", description="Time of a checkout.")

application = flask.Flask("shop")
FlaskInstrumentor().instrument_app(application, excluded_urls="ready,flush")


def identified(text, status=200):
    identifier = f"{trace.get_current_span().get_span_context().trace_id:032x}"
    return flask.Response(text, status, {"X-Trace-Id": identifier})


@application.get("/checkout/<int:order>")
def checkout(order):
    started = time.perf_counter()
    with tracer.start_as_current_span("reserve stock") as span:
        span.set_attribute("shop.order", order)
        span.add_event("stock found", {"warehouse": "north"})
        log.info("reserved stock for order %d", order)
    with tracer.start_as_current_span("charge card", kind=trace.SpanKind.CLIENT) as span:
        span.set_attribute("peer.service", "payments")
        with tracer.start_as_current_span("sign request"):
            time.sleep(0.002)
        log.warning("payment of order %d was slow", order)
    orders.add(1, {"outcome": "paid"})
    duration.record(time.perf_counter() - started, {"method": "card"})
    return identified("paid\n")


@application.get("/fail/<int:order>")
def fail(order):
    with tracer.start_as_current_span("charge card") as span:
        try:
            raise ValueError(f"card of order {order} refused")
        except ValueError as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            log.exception("order %d failed", order)
    orders.add(1, {"outcome": "refused"})
    return identified("refused\n", 500)


@application.get("/flush")
def flush():
    return str(all([traces.force_flush(), meters.force_flush(), logs.force_flush()]))


@application.get("/ready")
def ready():
    return "ready\n"


application.run("127.0.0.1", port, threaded=True)
