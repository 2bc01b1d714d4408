// SPDX-License-Identifier: Apache-2.0
// Which traces a service shows first.

import Base
import Telemetry

/// What a service had to do with one trace.
struct TracePick: Sendable, Equatable {
    /// Start of its first span.
    var startNanos: Int64
    /// Duration of its longest span.
    var durationNanos: Int64
    var isError: Bool

    mutating func merge(_ other: TracePick) {
        startNanos = min(startNanos, other.startNanos)
        durationNanos = max(durationNanos, other.durationNanos)
        isError = isError || other.isError
    }
}

/// Traces of one service and five minutes: at least the newest, the newest failed and the slowest
/// `kept`, and never more than `most`. So the newest, failed and slowest traces of a longer stretch
/// are among those of its five minutes, and nothing need be searched.
///
/// Which ones are kept beyond that depends on the order of arrival until `trim`, which is called
/// before they are written.
struct TracePicks: Sendable, Equatable {
    /// Of each kind.
    static let kept = 20
    /// So many are held before the least worthy are let go.
    static let most = 128

    private(set) var traces: [TraceID: TracePick] = [:]
    /// Whether any have been let go.
    private(set) var isCut = false

    /// Returns whether the trace was new here.
    @discardableResult
    mutating func add(_ id: TraceID, _ pick: TracePick) -> Bool {
        if traces[id]?.merge(pick) != nil { return false }
        traces[id] = pick
        if traces.count > TracePicks.most { trim() }
        return true
    }

    mutating func merge(_ other: TracePicks) {
        // Sorted, so that what is let go does not depend on hashing.
        for (id, pick) in other.traces.sorted(by: { $0.key < $1.key }) { add(id, pick) }
        isCut = isCut || other.isCut
    }

    /// For decoders.
    mutating func markCut() { isCut = true }

    /// Leaves the newest, the newest failed and the slowest.
    mutating func trim() {
        if traces.count <= TracePicks.kept { return }
        let lists = TraceLists(traces, limit: TracePicks.kept)
        let worthy = Set(lists.recent + lists.errors + lists.slow)
        if worthy.count == traces.count { return }
        isCut = true
        traces = traces.filter { worthy.contains($0.key) }
    }
}

/// Traces in the order in which an answer names them.
struct TraceLists: Equatable {
    /// By start, newest first.
    var recent: [TraceID]
    /// Those in which the service had an error, newest first.
    var errors: [TraceID]
    /// By the longest span of the service, slowest first.
    var slow: [TraceID]

    init(_ traces: [TraceID: TracePick], limit: Int) {
        let byStart = traces.sorted {
            ($1.value.startNanos, $1.key) < ($0.value.startNanos, $0.key)
        }
        recent = byStart.prefix(limit).map(\.key)
        errors = byStart.lazy.filter(\.value.isError).prefix(limit).map(\.key)
        slow = traces.sorted {
            ($1.value.durationNanos, $1.key) < ($0.value.durationNanos, $0.key)
        }.prefix(limit).map(\.key)
    }
}

/// Where the picks of one service and five minutes lie in a part.
struct PickEntry: Sendable {
    /// Number of the bucket.
    var bucket: Int64
    /// Number of the first row.
    var first: Int
    var count: Int
    var isCut: Bool
}

/// Rows of picks in a part, `TracePickCoding.rowCount` bytes each.
enum TracePickCoding {
    static let rowCount = 33

    static func encode(_ picks: TracePicks, into writer: inout ByteWriter) {
        for (id, pick) in picks.traces.sorted(by: { $0.key < $1.key }) {
            writer.u64(id.high)
            writer.u64(id.low)
            writer.i64(pick.startNanos)
            writer.i64(pick.durationNanos)
            writer.u8(pick.isError ? 1 : 0)
        }
    }

    static func decode(
        _ reader: inout ByteReader, count: Int, into picks: inout TracePicks
    ) throws(MalformedBytes) {
        for _ in 0..<count {
            let id = TraceID(high: try reader.u64(), low: try reader.u64())
            let start = try reader.i64(), duration = try reader.i64()
            picks.add(
                id,
                TracePick(
                    startNanos: start, durationNanos: duration, isError: try reader.u8() != 0))
        }
    }
}
