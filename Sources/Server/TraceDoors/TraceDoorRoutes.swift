// SPDX-License-Identifier: Apache-2.0
// Routes, services and figures of the ways in for spans.

import Base
import Ingest
import Logging
import ServiceLifecycle
import Synchronization
import Telemetry

/// Routes of the ways in for spans that are not OTLP's.
func traceDoorRoutes(_ core: Core, _ startup: Startup) -> [Route] {
    let writer = TraceDoorWriter(
        pipeline: core.pipeline, clock: core.clock, counters: startup.traceDoors)
    return ZipkinEndpoint(writer: writer).routes() + JaegerEndpoint(writer: writer).routes()
}

/// Writes the metrics made of spans at their interval, and once more at the end.
func spanMetricsService(
    _ intervalSeconds: Double, _ startup: Startup, _ clock: any Clock, _ logger: Logger
) -> any Service {
    let overflowed = Atomic<Int>(0)
    return RepeatedWork(intervalSeconds: intervalSeconds, clock: clock, finishes: true) { millis in
        guard let core = startup.core else { return }
        await core.writeSpanMetrics(millis: millis) { logger.warning("\($0)") }
        let now = core.spanMetrics.counts.overflowed
        if overflowed.exchange(now, ordering: .relaxed) == 0, now > 0 {
            let text =
                "span_metrics: more series than max_series; what finds no room is counted in the "
                + "series with metric_overflow=\"true\""
            logger.warning("\(text)")
        }
    }
}

extension Core {
    /// Commits one round of the metrics made of spans.
    ///
    /// - Parameter warn: told what could not be stored.
    func writeSpanMetrics(millis: Int64, warn: (String) -> Void) async {
        let sender = MetricSender(via: "span_metrics", address: "", agent: "")
        for output in spanMetrics.collect(millis: millis) {
            do {
                let report = try await MetricSender.$current.withValue(sender) {
                    try await pipeline.perform(bytes: output.batch.arena.count) {
                        try await pipeline.write(metrics: output.batch, tenant: output.tenant)
                    }
                }
                if !report.refusals.isEmpty {
                    warn("metrics of spans not stored: \(report.refusals.summary)")
                }
            } catch {
                spanMetrics.unwrite(output)
                warn("metrics of spans not stored: \(error)")
            }
        }
    }
}

/// What the ways in for spans and their metrics count, as families of `/metrics`.
struct TraceDoorMetrics: Sendable {
    let doors: TraceDoorCounters
    let spans: SpanMetrics

    func collect(into metrics: SelfMetrics) {
        let taken = "tern_trace_door_spans_total"
        let rejected = "tern_trace_door_spans_rejected_total"
        metrics.declare(taken, .counter, "Spans taken in by other ways than OTLP, by door.")
        metrics.declare(rejected, .counter, "Spans that could not be taken, by door.")
        for door in TraceDoor.allCases {
            let count = doors[door]
            metrics.set(taken, "door=\"\(door.rawValue)\"", Double(count.spans))
            metrics.set(rejected, "door=\"\(door.rawValue)\"", Double(count.rejected))
        }
        metrics.show(
            "tern_trace_door_datagrams_dropped_total", .counter,
            "Datagrams of spans that found no room or could not be stored.",
            Double(doors.datagrams.datagramsDropped.load(ordering: .relaxed)))
        metrics.show(
            "tern_span_repeated_keys_total", .counter,
            "Attributes of spans and resources left out because their key came before.",
            Double(doors.repeatedKeys.load(ordering: .relaxed)))
        let counts = spans.counts
        metrics.show(
            "tern_span_metrics_spans_total", .counter, "Spans that metrics were made of.",
            Double(counts.spans))
        metrics.show(
            "tern_span_metrics_series", .gauge, "Series made of spans, as counted for max_series.",
            Double(counts.series))
        metrics.show(
            "tern_span_metrics_overflowed_total", .counter,
            "Spans and edges counted in the overflow series.", Double(counts.overflowed))
        let edges = "tern_span_metrics_edges_total"
        metrics.declare(edges, .counter, "Calls between services, by what became of them.")
        metrics.set(edges, "result=\"paired\"", Double(counts.pairedEdges))
        metrics.set(edges, "result=\"expired\"", Double(counts.expiredEdges))
        metrics.set(edges, "result=\"dropped\"", Double(counts.droppedEdges))
        metrics.show(
            "tern_span_metrics_waiting_edges", .gauge, "Calls of which one side is known.",
            Double(counts.waitingEdges))
    }
}
