// SPDX-License-Identifier: Apache-2.0
// Every path the server answers.

import HTTPTypes
import Ingest
import Wire

/// The routes of all families. Paths are those of the family's own server.
func makeRoutes(
    _ core: Core, _ startup: Startup, _ metrics: SelfMetrics, _ scraping: Scraping,
    _ forwarding: Forwarding? = nil
) -> [Route] {
    let (pipeline, service, intake) = (core.pipeline, core.queries, core.intake)
    let admin = AdminEndpoints(
        pipeline: pipeline, metrics: metrics, scraping: scraping, queries: service,
        push: PushMetrics(
            lines: startup.lines, groups: core.pushed, intake: intake, tails: core.tails,
            doors: startup.logDoors,
            traces: TraceDoorMetrics(doors: startup.traceDoors, spans: core.spanMetrics)),
        forwarding: forwarding)
    let both: [HTTPRequest.Method] = [.get, .post]
    let status = StatusEndpoints(core: core, startup: startup, scraping: scraping)
    var routes = [
        Route.open([.get], "/metrics", admin.metricsPage),
        Route.open([.get], "/api/echo") { _ in .text("echo") },
        Route.open([.get], "/api/v1/status/walreplay") { _ in startup.walReplay() },
        Route([.get], "/api/v1/status/runtimeinfo", .prometheus, status.runtimeInfo),
        Route(
            [.get], "/api/v1/status/tsdb", .prometheus,
            CardinalityEndpoint(service: service).answer),
    ]
    routes.append(
        Route(
            [.get], "/api/v1/status/senders", .prometheus,
            SendersEndpoint(senders: pipeline.senders).answer))
    for path in ["/api/v1", "/loki/api/v1", "/api"] {
        routes.append(.open([.get], path + "/status/buildinfo", admin.buildInfo))
    }
    for path in ["/-/healthy", "/health"] {
        routes.append(.open([.get, .head], path) { _ in .text("healthy\n") })
    }
    for path in ["/-/ready", "/ready"] {
        routes.append(.open([.get, .head], path) { _ in .text("ready\n") })
    }

    routes += ScrapingEndpoints(scraping: scraping).routes()
    routes += RulesEndpoints(rules: scraping.rules).routes()
    routes += LokiRulerEndpoints(rules: scraping.rules).routes()
    routes += RuleBackfillEndpoint(core: core).routes()
    routes += StorageEndpoints(core).routes()
    routes.append(
        Route([.get], "/api/v1/status/active_queries", .prometheus, status.activeQueries))
    routes += prometheusRoutes(core, scraping, admin, status)
    routes += pushRoutes(core, startup)
    routes += logDoorRoutes(core, startup) + traceDoorRoutes(core, startup)

    let series = SeriesEndpoints(service: service)
    let write = RemoteWriteEndpoint(pipeline: pipeline)
    let queries = QueryEndpoints(service: service)
    routes += [
        Route(both, "/api/v1/query", .prometheus, queries.query),
        Route(both, "/api/v1/query_range", .prometheus, queries.queryRange),
        Route(both, "/api/v1/labels", .prometheus, series.labels),
        Route([.get], "/api/v1/label/{name}/values", .prometheus, series.labelValues),
        Route(both, "/api/v1/series", .prometheus, series.series),
        Route([.get], "/api/v1/metadata", .prometheus, series.metadata),
        Route(both, "/api/v1/format_query", .prometheus, queries.formatQuery),
        Route(both, "/api/v1/query_exemplars", .prometheus, series.exemplars),
        Route(
            [.post], "/api/v1/write", .plain, bodyLimit: RemoteWriteEndpoint.bodyLimit,
            write.write),
    ]

    for signal in OTLPSignal.allCases {
        routes.append(
            Route([.post], "/v1/\(signal)", .otlp, bodyLimit: OTLPIntake.bodyLimit) {
                try await intake.http($0, signal)
            })
    }
    routes += [
        Route([.post], "/api/v1/otlp/v1/metrics", .otlp, bodyLimit: OTLPIntake.bodyLimit) {
            try await intake.http($0, .metrics)
        },
        Route(
            [.post], "/otlp/v1/logs", .otlp, bodyLimit: OTLPIntake.bodyLimit, intake.lokiLogs),
    ]

    let push = LokiPushEndpoint(pipeline: pipeline, lineLimits: core.lineLimits)
    let logs = core.logQueries
    routes += [
        Route(
            [.post], "/loki/api/v1/push", .loki, bodyLimit: LokiPushEndpoint.bodyLimit, push.push),
        Route([.get], "/loki/api/v1/drilldown-limits", .loki, logs.drilldownLimits),
    ]

    let logReads = [
        Route(both, "/loki/api/v1/query", .loki, logs.query),
        Route(both, "/loki/api/v1/query_range", .loki, logs.queryRange),
        Route(both, "/loki/api/v1/labels", .loki, logs.labels),
        Route(both, "/loki/api/v1/label/{name}/values", .loki, logs.labelValues),
        Route(both, "/loki/api/v1/series", .loki, logs.series),
        Route(both, "/loki/api/v1/format_query", .loki, logs.formatQuery),
        Route(both, "/loki/api/v1/index/stats", .loki, logs.indexStats),
        Route(both, "/loki/api/v1/index/volume", .loki, logs.indexVolume),
        Route(both, "/loki/api/v1/index/volume_range", .loki, logs.indexVolumeRange),
        Route(both, "/loki/api/v1/patterns", .loki, logs.patterns),
        Route(both, "/loki/api/v1/detected_labels", .loki, logs.detectedLabels),
        Route(both, "/loki/api/v1/detected_fields", .loki, logs.detectedFields),
        Route(both, "/loki/api/v1/detected_field/{name}/values", .loki, logs.detectedFieldValues),
    ]
    routes += logReads.map { $0.ofSeveralTenants() }
    routes += core.tail.routes()
    routes += LegacyEndpoints(logs: logs, push: push, kernel: core.kernel).routes()
    routes += DeleteEndpoints(
        deletes: core.deletes, clock: core.clock, isEnabled: core.settings.enableAdminAPI
    ).routes()

    routes += traceRoutes(core)
    let correlate = CorrelateEndpoints(service: service, index: core.correlation)
    let base = "/api/v1/correlate/"
    routes += [
        Route([.get], base + "trace/{id}", .prometheus, correlate.trace),
        Route([.get], base + "services", .prometheus, correlate.services),
        Route([.get], base + "service/{name}", .prometheus, correlate.serviceDetail),
        Route([.get], base + "series", .prometheus, correlate.series),
        Route([.get], base + "logline", .prometheus, correlate.logLine),
        Route([.get], base + "diagnose", .prometheus, correlate.diagnose),
        Route([.get], base + "compare", .prometheus, correlate.compare),
        Route([.get], base + "coverage", .prometheus, correlate.coverage),
    ]
    routes += ModelContextEndpoint(routes: routes).routes()
    routes += TempoStatusEndpoints(core: core, paths: routes.map { ($0.methods, $0.path) }).routes()
    routes.append(openAPIRoute(of: routes))
    return routes
}

/// Paths on which connections become WebSockets.
func makeSockets(_ core: Core) -> [SocketRoute] { core.tail.sockets() }

extension Core {
    /// Live tails of logs.
    var tail: TailEndpoint {
        TailEndpoint(logs: logQueries, feed: tails, pool: tailPool)
    }

    var logQueries: LokiQueryEndpoints {
        let limiter = pipeline.limiter
        return LokiQueryEndpoints(service: queries, enrichment: pipeline.enrichment) {
            limiter.limits(of: $0).logs
        }
    }
}

/// Routes of Tempo's, Jaeger's and Zipkin's ways to ask for traces.
private func traceRoutes(_ core: Core) -> [Route] {
    let service = core.queries
    let catalogue = ServiceCatalogue(service: service, index: core.correlation)
    var routes = TraceEndpoints(service: service).routes()
    routes += TraceDiffEndpoint(service: service).routes()
    routes += SearchEndpoint(queries: TempoQueries(service: service)).routes()
    routes += TempoMetricsEndpoint(queries: TempoQueries(service: service)).routes()
    routes += JaegerEndpoints(service: service, catalogue: catalogue).routes()
    routes += JaegerMetricsEndpoint(service: service, rates: core.rates).routes()
    routes += JaegerV3Endpoints(service: service, catalogue: catalogue).routes()
    routes += ZipkinEndpoints(service: service, catalogue: catalogue).routes()
    return routes
}

/// Routes of the ways in for metrics that are neither Prometheus' nor OTLP's.
private func pushRoutes(_ core: Core, _ startup: Startup) -> [Route] {
    let influx = InfluxEndpoints(
        pipeline: core.pipeline, queries: core.queries, clock: core.clock,
        counters: startup.lines)
    let pushed = PushgatewayEndpoint(
        pipeline: core.pipeline, groups: core.pushed, clock: core.clock)
    let imports = ImportEndpoint(pipeline: core.pipeline, clock: core.clock)
    return influx.routes() + imports.routes() + pushed.routes()
}

/// Routes of the ways in for logs that are neither Loki's nor OTLP's.
private func logDoorRoutes(_ core: Core, _ startup: Startup) -> [Route] {
    let writer = LogDoorWriter(
        pipeline: core.pipeline, clock: core.clock, counters: startup.logDoors,
        lineLimits: core.lineLimits)
    return ElasticEndpoints(writer: writer).routes() + JSONLinesEndpoint(writer: writer).routes()
        + JournalEndpoint(writer: writer).routes() + EventEndpoints(writer: writer).routes()
}
