// SPDX-License-Identifier: Apache-2.0
// Recording rules over the past.

import Ingest
import PromQL
import Telemetry

/// Evaluates the recording rules of groups at times that are over, and writes what they would have
/// written.
///
/// One stretch is evaluated rule by rule, in the order of the groups, and each is durable before the
/// next begins: later rules see what earlier ones wrote. Alerts and the query offset of groups are
/// passed over, since they are about the present.
package struct RuleBackfill: Sendable {
    package struct Outcome: Sendable, Equatable {
        package var rules = 0
        package var samples = 0
        package var refused = 0
        /// Reasons of refusals, without repetition.
        package var reasons: [String] = []
        package init() {}
    }

    /// A rule that failed; what came before it is written.
    package struct Failure: Error, CustomStringConvertible {
        package var rule: String
        package var reason: String
        package var description: String { "rule \(rule): \(reason)" }
    }

    /// Most steps of one stretch.
    package static let stepLimit: Int64 = 10_000

    private let groups: [RuleGroupDefinition]
    private let queries: any RuleQueries
    private let sink: any RuleSink
    private let tenant: Tenant

    package init(
        _ groups: [RuleGroupDefinition], queries: any RuleQueries, sink: any RuleSink,
        tenant: Tenant = .anonymous
    ) {
        self.groups = groups
        self.queries = queries
        self.sink = sink
        self.tenant = tenant
    }

    /// Evaluates at `start`, `start + step`, … up to `end`, in milliseconds.
    ///
    /// - Throws: `Failure` for the first rule that cannot be evaluated, `IngestError` when its
    ///   samples cannot be stored now.
    package func run(start: Int64, end: Int64, step: Int64) async throws -> Outcome {
        guard step > 0, start <= end, (end &- start) / step < Self.stepLimit else {
            throw RuleQueryError(
                "start must not be after end, and the stretch at most \(Self.stepLimit) steps long")
        }
        var outcome = Outcome()
        for group in groups {
            for rule in group.rules where !rule.isAlert {
                outcome.rules += 1
                try await run(rule, group, (start, end, step), &outcome)
            }
        }
        return outcome
    }

    /// The results of an expression, time by time or all at once. How many traces of a window match
    /// is asked for each time by itself; the window is the group's interval, as when it runs.
    private func results(
        of expression: String, _ group: RuleGroupDefinition,
        _ times: (start: Int64, end: Int64, step: Int64)
    ) async throws -> [MatrixSeries] {
        guard group.language == .traceql else {
            return try await queries.run(as: tenant) {
                try $0.queryRange(
                    expression, group.language, startMillis: times.start, endMillis: times.end,
                    stepMillis: times.step)
            }
        }
        var found: [Labels: MatrixSeries] = [:]
        for millis in stride(from: times.start, through: times.end, by: Int(times.step)) {
            let (nanos, isOver) = millis.multipliedReportingOverflow(by: 1_000_000)
            if isOver { throw RuleQueryError("time out of range") }
            let samples = try await queries.run(as: tenant) {
                try $0.query(
                    expression, .traceql, atNanos: nanos, windowMillis: group.intervalMillis)
            }
            for sample in samples {
                guard case .float(let value) = sample.value else { continue }
                var series = found[sample.labels] ?? MatrixSeries(labels: sample.labels)
                series.floatMillis.append(millis)
                series.floats.append(value)
                found[sample.labels] = series
            }
        }
        return found.values.sorted { $0.labels < $1.labels }
    }

    private func run(
        _ rule: RuleDefinition, _ group: RuleGroupDefinition,
        _ times: (start: Int64, end: Int64, step: Int64), _ outcome: inout Outcome
    ) async throws {
        let matrix: [MatrixSeries]
        do {
            matrix = try await results(of: rule.expression, group, times)
        } catch { throw Failure(rule: rule.name, reason: "\(error)") }
        var batch = MetricBatch()
        var seen: Set<Labels> = []
        for series in matrix {
            var builder = LabelsBuilder(series.labels)
            builder.set("__name__", rule.record)
            for label in group.labels(of: rule) { builder.set(label.name, label.value) }
            let labels = builder.labels()
            guard seen.insert(labels).inserted else {
                throw Failure(
                    rule: rule.name,
                    reason: "vector contains metrics with the same labelset after applying rule "
                        + "labels")
            }
            let place = batch.addSeries(labels)
            for (millis, value) in zip(series.floatMillis, series.floats) {
                batch.addSample(series: place, millis: millis, value: value)
            }
            for (millis, histogram) in zip(series.histogramMillis, series.histograms) {
                batch.addHistogram(series: place, millis: millis, histogram)
            }
        }
        if group.limit > 0, seen.count > group.limit {
            throw Failure(
                rule: rule.name,
                reason: "exceeded limit of \(group.limit) with \(seen.count) series")
        }
        if batch.isEmpty { return }
        let report = try await sink.write(metrics: batch, tenant: tenant)
        outcome.samples += report.samples + report.histograms
        outcome.refused += report.refusals.count
        let reasons = report.refusals.reasons.map(\.text)
        outcome.reasons += reasons.filter { !outcome.reasons.contains($0) }
    }
}
