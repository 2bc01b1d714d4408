# SPDX-License-Identifier: Apache-2.0
# One service of a shop, the first argument which: frontend calls cart, payment and shipping, cart calls stock, stock asks SQLite. Flask,
# requests and sqlite3 are instrumented by OpenTelemetry's packages; spans name the line that began them, log records the line that wrote
# them; /metrics is the Prometheus client's. What goes wrong is switched from outside: by the database's index, by POST /settings, by
# the proxy between frontend and shipping.
#
# shop_application.py SERVICE PORT DATABASE CART PAYMENT SHIPPING STOCK (the last four are URLs)

import hashlib
import logging
import sqlite3
import sys

import flask
import prometheus_client
import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

service, port, database = sys.argv[1], int(sys.argv[2]), sys.argv[3]
cart, payment, shipping, stock = sys.argv[4:8]


class CallSites(SpanProcessor):
    """Gives each span the line of this file that began it, under the names of the semantic conventions."""

    def on_start(self, span, parent_context=None):
        frame = sys._getframe(1)
        while frame and frame.f_code.co_filename != __file__:
            frame = frame.f_back
        # A request's own span is begun before this file is.
        if frame and frame.f_code.co_name != "<module>":
            span.set_attribute("code.file.path", frame.f_code.co_filename)
            span.set_attribute("code.line.number", frame.f_lineno)
            span.set_attribute("code.function.name", frame.f_code.co_name)


resource = Resource.create({"service.name": service, "service.version": "2.0.1"})
traces = TracerProvider(resource=resource)
traces.add_span_processor(CallSites())
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(traces)
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
log = logging.getLogger("shop")
log.setLevel(logging.INFO)
log.propagate = False
log.addHandler(LoggingHandler(logger_provider=logs))
tracer = trace.get_tracer("shop")

application = flask.Flask("shop")
FlaskInstrumentor().instrument_app(application, excluded_urls="ready,metrics,settings")
RequestsInstrumentor().instrument()
SQLite3Instrumentor().instrument()
settings = {"rounds": 2_000, "coupons": 0}


def call(url):
    answer = requests.get(url, timeout=30)
    answer.raise_for_status()
    return answer.json()


def order(number):
    log.info("order %d arrived", number)
    try:
        items = call(f"{cart}/items/{number}")
        call(f"{payment}/pay/{items['total']}")
        call(f"{shipping}/parcel/{number}")
    except requests.HTTPError as error:
        log.error("order %d failed: %s", number, error.response.status_code)
        return {"error": "try again"}, 502
    log.info("order %d done", number)
    return {"order": number}


def items(number):
    log.info("items of order %d", number)
    prices = [5, 7, number % 11]
    available = call(f"{stock}/available/{number % 100}")["available"]
    total = sum(prices) if available else 0
    if settings["coupons"] and number % 2:
        total = discounted(total, {})
    log.info("order %d costs %d", number, total)
    return {"total": total}


def discounted(total, coupon):
    return total * coupon["percent"] // 100  # fault: exception


def available(warehouse):
    log.info("stock of warehouse %d", warehouse)
    with sqlite3.connect(database) as connection:
        cursor = connection.cursor()
        cursor.execute(  # fault: slow query
            "SELECT sum(other.quantity) FROM movements AS one JOIN movements AS other ON other.sku = one.sku WHERE one.warehouse = ?",
            (warehouse,),
        )
        (quantity,) = cursor.fetchone()
    log.info("warehouse %d has %d", warehouse, quantity)
    return {"available": quantity > 0}


def pay(total):
    log.info("paying %d", total)
    with tracer.start_as_current_span("sign receipt"):  # fault: CPU burn
        signature = hashlib.pbkdf2_hmac("sha256", b"%d" % total, b"shop", settings["rounds"])
    log.info("paid %d", total)
    return {"signature": signature.hex()}


def parcel(number):
    log.info("parcel for order %d", number)
    with tracer.start_as_current_span("print label"):
        label = hashlib.sha256(b"%d" % number).hexdigest()
    return {"label": label}


routes = {
    "frontend": {"/order/<int:number>": order},
    "cart": {"/items/<int:number>": items},
    "payment": {"/pay/<int:total>": pay},
    "shipping": {"/parcel/<int:number>": parcel},
    "stock": {"/available/<int:warehouse>": available},
}


@application.errorhandler(500)
def failed(error):
    log.error("request failed", exc_info=error.original_exception)
    return {"error": "internal"}, 500


@application.get("/metrics")
def metrics():
    return flask.Response(prometheus_client.generate_latest(), content_type=prometheus_client.CONTENT_TYPE_LATEST)


@application.post("/settings")
def change():
    settings.update(flask.request.get_json())
    return settings


@application.get("/ready")
def ready():
    return "ready\n"


for path, view in routes[service].items():
    application.get(path)(view)
logging.getLogger("werkzeug").setLevel(logging.ERROR)
application.run("127.0.0.1", port, threaded=True)
