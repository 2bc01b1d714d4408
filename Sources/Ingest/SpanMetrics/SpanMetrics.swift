// SPDX-License-Identifier: Apache-2.0
// Metrics made of spans.

import Base
import Synchronization
import Telemetry

/// Counts spans as they are committed, and says at intervals what there is to be written.
///
/// Names, labels, buckets and rules of edges are those of Tempo's metrics generator. A span that was
/// sent again is not seen here. What is counted lives in memory: after a restart counters begin
/// anew, with their start time beside them, and the pairs that waited are gone; the service graph
/// of the correlation index does not depend on it, since it is made of stored spans.
///
/// Memory per tenant is bounded by `SpanMetricsSettings.maxSeries` and `Graph.maxWaiting`.
/// Source: grafana/tempo `modules/generator/processor/{spanmetrics,servicegraphs}`.
package final class SpanMetrics: BatchObserving, Sendable {
    /// A batch to be written.
    package struct Output: Sendable {
        package var tenant: Tenant
        package var batch: MetricBatch
        fileprivate var round: UInt64
    }

    /// What was counted since the start.
    package struct Counts: Sendable, Equatable {
        package var spans = 0
        /// Spans and edges that went to the series of what finds no room.
        package var overflowed = 0
        /// Edges of both sides, and those that have waited in vain.
        package var pairedEdges = 0
        package var expiredEdges = 0
        /// Spans for which no edge could wait.
        package var droppedEdges = 0
        /// Now.
        package var waitingEdges = 0
        package var series = 0
    }

    private struct State: Sendable {
        var settings: SpanMetricsPlan
        var tenants: [Tenant: TenantSpanMetrics] = [:]
        var counts = Counts()
        /// Number of the next batch.
        var round: UInt64 = 1
        /// Time of the last round, at first of the start: series begin no earlier.
        var lastMillis: Int64
    }

    private let state: Mutex<State>
    private let clock: any Clock

    package init(_ settings: SpanMetricsSettings, clock: any Clock) {
        self.clock = clock
        state = Mutex(
            State(
                settings: SpanMetricsPlan(settings), lastMillis: clock.wallNanos / 1_000_000))
    }

    package var settings: SpanMetricsSettings { state.withLock { $0.settings.settings } }

    /// Puts other settings in force. When they differ, all counters begin anew.
    package func set(_ settings: SpanMetricsSettings) {
        state.withLock { state in
            if state.settings.settings == settings { return }
            state.settings = SpanMetricsPlan(settings)
            state.tenants = [:]
            state.lastMillis = clock.wallNanos / 1_000_000
        }
    }

    package var counts: Counts {
        state.withLock { state in
            var counts = state.counts
            for tenant in state.tenants.values {
                counts.waitingEdges += tenant.open.count
                counts.series += tenant.seriesCount
            }
            return counts
        }
    }

    // MARK: observing

    package func record(metrics batch: MetricBatch, tenant: Tenant, generation: UInt64) {}
    package func record(logs batch: LogBatch, tenant: Tenant, generation: UInt64) {}

    package func record(spans batch: SpanBatch, tenant: Tenant, generation: UInt64) {
        if batch.rowCount == 0 { return }
        let nanos = clock.monotonicNanos
        let millis = clock.wallNanos / 1_000_000
        state.withLock { state in
            let plan = state.settings
            guard plan.settings.isEnabled else { return }
            state.counts.spans += batch.rowCount
            // Out of the dictionary while it changes, so that nothing is copied.
            var metrics =
                state.tenants.removeValue(forKey: tenant)
                ?? TenantSpanMetrics(plan)
            metrics.record(batch, plan, millis: millis, nanos: nanos, &state.counts)
            state.tenants[tenant] = metrics
        }
    }

    // MARK: writing

    /// One round: what every tenant's series are now. Ends edges that have waited long enough.
    ///
    /// - Parameter given: time of the samples; nil = now.
    package func collect(millis given: Int64? = nil) -> [Output] {
        let nanos = clock.monotonicNanos
        let millis = given ?? clock.wallNanos / 1_000_000
        return state.withLock { state in
            let plan = state.settings
            guard plan.settings.isEnabled else { return [] }
            var outputs: [Output] = []
            for tenant in state.tenants.keys.sorted() {
                guard var metrics = state.tenants.removeValue(forKey: tenant) else { continue }
                var writer = SpanSampleWriter(
                    round: state.round, nowMillis: millis, previousMillis: state.lastMillis,
                    exemplarLabel: plan.settings.exemplarLabel)
                metrics.write(to: &writer, plan, nanos: nanos, &state.counts)
                if !metrics.isEmpty { state.tenants[tenant] = metrics }
                state.round = writer.round
                outputs += writer.batches.map {
                    Output(tenant: tenant, batch: $0.batch, round: $0.round)
                }
            }
            state.lastMillis = millis
            return outputs
        }
    }

    /// Says that an output could not be stored: series that began with it begin with the next.
    package func unwrite(_ output: Output) {
        state.withLock { state in
            state.tenants[output.tenant]?.unwrite(round: output.round)
        }
    }
}
