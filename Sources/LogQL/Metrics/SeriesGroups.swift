// SPDX-License-Identifier: Apache-2.0
// From lines to the series they belong to.

import Base
import Telemetry

/// Which labels a line's series has.
struct SeriesKey {
    private enum Kind {
        case all
        case by([SharedBytes])
        case without([SharedBytes])
    }
    private let kind: Kind
    private let unwrapped: SharedBytes?

    init(_ grouping: LabelGrouping?, unwrapped: String?) {
        func bytes(_ text: String) -> SharedBytes { SharedBytes(Array(text.utf8)) }
        self.unwrapped = unwrapped.map(bytes)
        switch grouping {
        case nil: kind = .all
        case let grouping? where grouping.isWithout: kind = .without(grouping.labels.map(bytes))
        case let grouping?: kind = .by(grouping.labels.map(bytes))
        }
    }

    func encode(_ state: LineState, into key: inout [UInt8]) {
        key.removeAll(keepingCapacity: true)
        switch kind {
        case .all:
            guard let unwrapped else { return state.encode(into: &key) }
            state.encode(into: &key) { !equalBytes($0.name, unwrapped.buffer) }
        case .without(let names):
            state.encode(into: &key) { entry in
                if let unwrapped, equalBytes(entry.name, unwrapped.buffer) { return false }
                return !names.contains { equalBytes($0.buffer, entry.name) }
            }
        case .by(let names):
            state.encode(into: &key) { entry in
                !entry.value.isEmpty && names.contains { equalBytes($0.buffer, entry.name) }
            }
        }
    }
}

/// Whether a line's labels are known from its stream.
struct GroupHint {
    var stream: Int
    var batch: Int
    var isOfStream: Bool
}

/// Numbers the series that lines belong to, as long as there is memory for more.
///
/// Loki refuses queries of more than 500 series. Here series may take half of the query's memory;
/// those that come then are left out, the ones that are known stay complete, and the answer says so.
struct SeriesGroups {
    private(set) var table = LabelSetTable()
    private let key: SeriesKey
    private var cache = StreamCache()
    private var scratch: [UInt8] = []
    private let context: ReadContext
    /// Bytes of one series besides its labels.
    private let seriesByteCount: Int
    private var heldBytes = 0
    private var isFull = false

    init(_ key: SeriesKey, seriesByteCount: Int, _ context: ReadContext) {
        self.key = key
        self.seriesByteCount = seriesByteCount
        self.context = context
    }

    var count: Int { table.count }

    /// The line's series: a known one, or the next number; nil when there is no room for it.
    ///
    /// - Throws: `QueryInterruption`.
    mutating func index(of state: LineState, _ hint: GroupHint) throws -> Int? {
        if hint.isOfStream,
            let known = cache.index(stream: hint.stream, batch: hint.batch)
        {
            return known
        }
        key.encode(state, into: &scratch)
        let index: Int
        if let known = table.find(scratch) {
            index = known
        } else {
            guard try hasRoom(scratch.count + 64 + seriesByteCount) else { return nil }
            index = table.index(of: scratch)
        }
        if hint.isOfStream { cache.remember(index, stream: hint.stream, batch: hint.batch) }
        return index
    }

    private mutating func hasRoom(_ byteCount: Int) throws -> Bool {
        if isFull { return false }
        guard heldBytes + byteCount <= context.memoryLimitBytes / 2 else {
            isFull = true
            context.warn(
                "the answer is incomplete: the query has more series than the \(table.count) that "
                    + "half of its memory holds; those shown are complete. Sum them up with "
                    + "`sum by (…)`, select fewer streams, or raise --query.memory-limit")
            return false
        }
        try context.reserve(byteCount)
        heldBytes += byteCount
        return true
    }
}
