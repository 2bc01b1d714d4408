// SPDX-License-Identifier: Apache-2.0
// `sort`: lines in another order than that of time.

import Base
import Telemetry

/// A line of the answer with what it is sorted by.
private struct SortedLine {
    var entry: LogEntry
    /// Number of its label set.
    var labels: Int
    var keys: [[UInt8]]
    /// Order of arrival, for lines that are equal in all keys.
    var number: Int
}

extension LogQLEngine {
    /// The first lines in the order of the sort keys: numbers in front of texts, lines without the
    /// label last. Equal lines stay in the query's direction. Each run of lines with the same
    /// labels is a stream of the answer, so that their order is that of the answer.
    ///
    /// Reads all lines of the range; holds at most twice as many as the answer has.
    func sortedLines(_ query: AnalysisQuery, _ context: ReadContext) throws -> LogQueryResult {
        var result = LogQueryResult(streams: [], statistics: LogQLStatistics(), reachedLimit: false)
        let analysis = query.analysis
        let pipeline = try Pipeline(analysis.selector.stages, nowNanos: clock.wallNanos)
        // Without keys this is a log query with its own limit, which may end early.
        let endsEarly = analysis.sort.isEmpty
        let names = analysis.sort.map { SharedBytes(Array($0.name.utf8)) }
        let limit = query.lineLimit == 0 ? Int.max : query.lineLimit
        var table = LabelSetTable()
        var lines: [SortedLine] = []
        var key: [UInt8] = []
        var number = 0
        let request = query.request(
            pipeline.pushedFilters,
            order: query.direction == .forward ? .oldestFirst : .newestFirst,
            limit: endsEarly && limit != .max ? limit : 0)
        let isBefore = order(analysis.sort)
        try pipeline.run(request, on: reader, context, &result.statistics) { state, _, _, _ in
            key.removeAll(keepingCapacity: true)
            if query.separatesCategories {
                state.encode(withErrors: false, into: &key) { $0.category == .stream }
            } else {
                state.encode(into: &key)
            }
            let line = SortedLine(
                entry: entry(state, query), labels: table.index(of: key),
                keys: names.map { Array(state.value(of: $0.buffer) ?? .nothing) }, number: number)
            number += 1
            try context.reserve(heldBytes(line))
            lines.append(line)
            if endsEarly { return lines.count < limit }
            if limit < .max / 2, lines.count >= max(2 * limit, 1024) {
                lines.sort(by: isBefore)
                for dropped in lines[min(limit, lines.count)...] {
                    context.release(heldBytes(dropped))
                }
                lines.removeLast(max(0, lines.count - limit))
            }
            return true
        }
        if !endsEarly { lines.sort(by: isBefore) }
        var last = -1
        for line in lines.prefix(limit) {
            if line.labels != last {
                result.streams.append(LogStream(labels: table.labels(line.labels), entries: []))
                last = line.labels
            }
            result.streams[result.streams.count - 1].entries.append(line.entry)
        }
        result.reachedLimit = lines.count >= limit
        return result
    }

    private func entry(_ state: LineState, _ query: AnalysisQuery) -> LogEntry {
        var entry = LogEntry(nanos: state.nanos, line: Array(state.line))
        if query.separatesCategories {
            entry.metadata = state.labels(of: .metadata, withErrors: false)
            entry.parsed = state.labels(of: .parsed, withErrors: true)
        }
        return entry
    }

    private func heldBytes(_ line: SortedLine) -> Int {
        line.entry.line.count + line.keys.reduce(128) { $0 + $1.count + 32 }
    }

    private func order(_ keys: [LogAnalysis.SortKey]) -> (SortedLine, SortedLine) -> Bool {
        { a, b in
            for (i, key) in keys.enumerated() {
                let x = a.keys[i], y = b.keys[i]
                if x.isEmpty || y.isEmpty {
                    if x.isEmpty != y.isEmpty { return y.isEmpty }
                    continue
                }
                let order = x.withUnsafeBytes { x in y.withUnsafeBytes { compareValues(x, $0) } }
                if order != 0 { return key.isDescending ? order > 0 : order < 0 }
            }
            return a.number < b.number
        }
    }
}
