// SPDX-License-Identifier: Apache-2.0
// `context`: lines with their neighbours, as `grep -C` shows them.

import Base
import PromQL
import Telemetry

/// The label that tells why a line is in the answer.
private let contextLabel = "context"

/// A line as it was stored.
private struct StoredLine: Hashable {
    var stream: Labels
    var nanos: Int64
    var line: [UInt8]
    var metadata: [UInt8]
}

/// Lines of an answer, each once.
private struct ContextLines {
    enum Role: String { case match, before, after }
    private(set) var lines: [(line: StoredLine, role: Role)] = []
    private var numbers: [StoredLine: Int] = [:]

    /// A match stays one when it is also another's neighbour.
    mutating func add(_ line: StoredLine, _ role: Role, _ context: ReadContext) throws {
        if let known = numbers[line] {
            if role == .match { lines[known].role = .match }
            return
        }
        try context.reserve(2 * (line.line.count + line.metadata.count) + 256)
        numbers[line] = lines.count
        lines.append((line, role))
    }
}

extension LogQLEngine {
    /// The lines that the query keeps, up to its limit, and around each the lines of its stream
    /// before and after it, whatever they hold and wherever they lie in time. All of them as they
    /// were stored, with a label `context` that is `match`, `before` or `after`.
    ///
    /// Costs two short reads a match.
    func linesInContext(
        _ query: AnalysisQuery, before: Int, after: Int, _ context: ReadContext
    ) throws -> LogQueryResult {
        var result = LogQueryResult(streams: [], statistics: LogQLStatistics(), reachedLimit: false)
        let pipeline = try Pipeline(query.analysis.selector.stages, nowNanos: clock.wallNanos)
        let limit = query.lineLimit
        var found = ContextLines()
        let request = query.request(
            pipeline.pushedFilters,
            order: query.direction == .forward ? .oldestFirst : .newestFirst, limit: limit)
        try pipeline.run(request, on: reader, context, &result.statistics) { state, _, _, _ in
            let line = StoredLine(
                stream: Labels(canonical: Array(state.streamLabels)), nanos: state.nanos,
                line: Array(state.storedLine), metadata: Array(state.metadata))
            try found.add(line, .match, context)
            result.reachedLimit = limit > 0 && found.lines.count >= limit
            return !result.reachedLimit
        }
        for match in found.lines.map(\.line) {
            for (count, role, order) in [
                (before, ContextLines.Role.before, LogRequest.Order.newestFirst),
                (after, .after, .oldestFirst),
            ] where count > 0 {
                try neighbours(of: match, count, order, tenant: query.tenant, context) {
                    try found.add($0, role, context)
                }
            }
        }
        result.streams = streams(found, query)
        return result
    }

    /// Hands over the lines of the match's stream behind it in the given order.
    private func neighbours(
        of match: StoredLine, _ count: Int, _ order: LogRequest.Order, tenant: Tenant,
        _ context: ReadContext, _ take: (StoredLine) throws -> Void
    ) throws {
        let at = Nanos(match.nanos)
        let request = LogRequest(
            tenant: tenant,
            matchers: try match.stream.pairs.map { try LabelMatcher($0.name, .equal, $0.value) },
            range: order == .newestFirst
                ? NanosRange(first: Nanos(.min), last: at)
                : NanosRange(first: at, last: Nanos(.max)),
            order: order, limit: count + 1)
        var isBehind = false
        var left = count
        try reader.read(request, context) { batch in
            try context.check()
            return try batch.arena.withUnsafeBytes { arena -> Bool in
                for row in 0..<batch.rowCount where request.range.contains(batch.nanos[row]) {
                    // The matchers also take streams with further labels.
                    let stream = batch.streams[Int(batch.rowStreams[row])]
                    guard stream.hash == match.stream.hash,
                        match.stream.bytes.elementsEqual(arena.part(stream.slice.range))
                    else { continue }
                    let line = StoredLine(
                        stream: match.stream, nanos: batch.nanos[row],
                        line: Array(arena.part(batch.lines[row].range)),
                        metadata: Array(arena.part(batch.metadata[row].range)))
                    if !isBehind {
                        isBehind = line == match
                        continue
                    }
                    try take(line)
                    left -= 1
                    if left == 0 { return false }
                }
                return true
            }
        }
    }

    /// The lines by label set, in the query's direction.
    private func streams(_ found: ContextLines, _ query: AnalysisQuery) -> [LogStream] {
        var numbers: [Labels: Int] = [:]
        var streams: [LogStream] = []
        let isForward = query.direction == .forward
        let sorted = found.lines.enumerated().sorted { a, b in
            let x = a.element.line.nanos, y = b.element.line.nanos
            if x != y { return isForward ? x < y : x > y }
            return a.offset < b.offset
        }
        for (line, role) in sorted.map(\.element) {
            let metadata = line.metadata.isEmpty ? Labels.empty : Labels(canonical: line.metadata)
            var entry = LogEntry(nanos: line.nanos, line: line.line)
            var labels = line.stream
            if query.separatesCategories {
                entry.metadata = metadata
                entry.parsed = Labels([(contextLabel, role.rawValue)])
            } else {
                for pair in metadata.pairs {
                    let clashes = line.stream[pair.name] != nil
                    labels = labels.setting(
                        clashes ? pair.name + "_extracted" : pair.name, pair.value)
                }
                labels = labels.setting(contextLabel, role.rawValue)
            }
            let number = numbers[labels] ?? streams.count
            if number == streams.count {
                numbers[labels] = number
                streams.append(LogStream(labels: labels, entries: []))
            }
            streams[number].entries.append(entry)
        }
        return streams.sorted { $0.labels < $1.labels }
    }
}
