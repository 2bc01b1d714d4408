// SPDX-License-Identifier: Apache-2.0
// A log query over lines as they arrive.

import Base
import Telemetry

/// A line with the labels of the stream it is shown in.
package struct TailedLine: Sendable, Equatable {
    package var labels: Labels
    package var entry: LogEntry

    package init(labels: Labels, entry: LogEntry) {
        self.labels = labels
        self.entry = entry
    }
}

/// A compiled log query that is asked again with every batch. Belongs to one task.
package final class LogTail {
    private let selector: LogSelector
    private let pipeline: Pipeline
    private let separatesCategories: Bool
    private var key: [UInt8] = []

    /// - Parameters:
    ///   - separatesCategories: as in `LogQuery`.
    ///   - nowNanos: what `now` is to templates.
    /// - Throws: what is wrong with a stage, a pattern for example.
    package init(
        _ selector: LogSelector, separatesCategories: Bool, nowNanos: Int64
    ) throws {
        self.selector = selector
        self.separatesCategories = separatesCategories
        pipeline = try Pipeline(selector.stages, nowNanos: nowNanos)
    }

    /// Hands over the lines of a batch that the query keeps, in the order of the batch.
    package func run(
        _ batch: LogBatch, _ context: ReadContext, _ body: (TailedLine) -> Void
    ) throws {
        let request = LogRequest(
            tenant: .anonymous, matchers: selector.matchers,
            range: NanosRange(first: Nanos(.min), last: Nanos(.max)))
        var statistics = LogQLStatistics()
        try pipeline.run(request, on: OneBatch(batch: batch), context, &statistics) {
            state, _, _, hasMetadata in
            key.removeAll(keepingCapacity: true)
            if separatesCategories {
                state.encode(withErrors: false, into: &key) { $0.category == .stream }
            } else {
                state.encode(into: &key)
            }
            var entry = LogEntry(nanos: state.nanos, line: Array(state.line))
            if separatesCategories, pipeline.changesLabels || hasMetadata {
                entry.metadata = state.labels(of: .metadata, withErrors: false)
                entry.parsed = state.labels(of: .parsed, withErrors: true)
            }
            body(TailedLine(labels: Labels(canonical: key), entry: entry))
            return true
        }
    }
}

extension LineState {
    /// Labels of one category.
    func labels(of category: LabelCategory, withErrors: Bool) -> Labels {
        var bytes: [UInt8] = []
        encode(withErrors: withErrors, into: &bytes) { $0.category == category }
        return bytes.isEmpty ? .empty : Labels(canonical: bytes)
    }
}

/// A reader that has one batch.
private struct OneBatch: LogReading {
    let batch: LogBatch

    func read(
        _ request: LogRequest, _ context: ReadContext, _ body: (LogBatch) throws -> Bool
    ) throws {
        _ = try body(batch)
    }
    func streams(_ request: LogRequest, _ context: ReadContext) -> [Labels] { [] }
    func labelNames(_ request: LogRequest, _ context: ReadContext) -> [String] { [] }
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) -> [String] { [] }
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) -> LogBatch { batch }
}
