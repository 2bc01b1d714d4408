// SPDX-License-Identifier: Apache-2.0
// Log queries: lines as the answer.

import Base
import Telemetry

/// A line of an answer.
package struct LogEntry: Sendable, Equatable {
    package var nanos: Int64
    /// The line's bytes, not necessarily UTF-8.
    package var line: [UInt8]
    /// Only with `LogQuery.separatesCategories`: labels of the line that are not its stream's.
    package var metadata = Labels.empty
    package var parsed = Labels.empty

    package init(nanos: Int64, line: [UInt8]) {
        self.nanos = nanos
        self.line = line
    }
}

/// Lines with the same labels.
package struct LogStream: Sendable, Equatable {
    package var labels: Labels
    package var entries: [LogEntry]
}

/// What to look for, where and how much of it.
package struct LogQuery: Sendable {
    package enum Direction: Sendable { case forward, backward }
    package var selector: LogSelector
    package var tenant: Tenant
    /// Inclusive.
    package var startNanos: Int64
    /// Exclusive.
    package var endNanos: Int64
    /// Lines at most; 0 = all.
    package var limit: Int
    package var direction: Direction
    /// Lines closer than this to the last one kept are left out; 0 = none.
    package var intervalNanos: Int64 = 0
    /// Streams are those that were sent, and each entry carries its other labels by category.
    package var separatesCategories = false

    package init(
        _ selector: LogSelector, tenant: Tenant, startNanos: Int64, endNanos: Int64, limit: Int,
        direction: Direction = .backward
    ) {
        self.selector = selector
        self.tenant = tenant
        self.startNanos = startNanos
        self.endNanos = endNanos
        self.limit = limit
        self.direction = direction
    }
}

package struct LogQueryResult: Sendable {
    /// Ascending by labels; entries in the query's direction.
    package var streams: [LogStream]
    package var statistics: LogQLStatistics
    /// Whether reading ended because the limit was reached.
    package var reachedLimit: Bool
}

extension LogQLEngine {
    /// Answers a log query. Stops reading as soon as the limit is reached.
    ///
    /// - Throws: `QueryInterruption`, what the reader throws.
    package func queryLogs(
        _ query: LogQuery, _ context: ReadContext
    ) throws -> LogQueryResult {
        var result = LogQueryResult(streams: [], statistics: LogQLStatistics(), reachedLimit: false)
        guard query.endNanos > query.startNanos else { return result }
        let pipeline = try Pipeline(query.selector.stages, nowNanos: clock.wallNanos)
        var request = LogRequest(
            tenant: query.tenant, matchers: query.selector.matchers,
            range: NanosRange(first: Nanos(query.startNanos), last: Nanos(query.endNanos - 1)),
            order: query.direction == .forward ? .oldestFirst : .newestFirst,
            filters: pipeline.pushedFilters, limit: query.limit)
        request.conditions = pipeline.pushedConditions
        request.numbers = pipeline.pushedNumbers
        var table = LabelSetTable()
        var cache = StreamCache()
        var entries: [[LogEntry]] = []
        var key: [UInt8] = []
        var count = 0
        var lastKept: Int64?
        try pipeline.run(request, on: reader, context, &result.statistics) {
            state, stream, batch, hasMetadata in
            if query.intervalNanos > 0 {
                if let lastKept, (state.nanos &- lastKept).magnitude < query.intervalNanos.magnitude
                {
                    return true
                }
                lastKept = state.nanos
            }
            func index() -> Int {
                key.removeAll(keepingCapacity: true)
                if query.separatesCategories {
                    state.encode(withErrors: false, into: &key) { $0.category == .stream }
                } else {
                    state.encode(into: &key)
                }
                return table.index(of: key)
            }
            let isOfStream = !pipeline.changesLabels && !hasMetadata
            let known = isOfStream ? cache.index(stream: stream, batch: batch) : nil
            let group = known ?? index()
            if isOfStream { cache.remember(group, stream: stream, batch: batch) }
            if group == entries.count { entries.append([]) }
            var entry = LogEntry(nanos: state.nanos, line: Array(state.line))
            if query.separatesCategories, pipeline.changesLabels || hasMetadata {
                entry.metadata = state.labels(of: .metadata, withErrors: false)
                entry.parsed = state.labels(of: .parsed, withErrors: true)
            }
            try context.reserve(entry.line.count + 64)
            entries[group].append(entry)
            count += 1
            result.reachedLimit = query.limit > 0 && count >= query.limit
            return !result.reachedLimit
        }
        result.streams = entries.indices
            .map { LogStream(labels: table.labels($0), entries: entries[$0]) }
            .sorted { $0.labels < $1.labels }
        return result
    }
}
