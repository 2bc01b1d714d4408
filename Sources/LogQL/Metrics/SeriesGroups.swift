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

/// Numbers the series that lines belong to.
struct SeriesGroups {
    var table = LabelSetTable()
    private let key: SeriesKey
    private var cache = StreamCache()
    private var scratch: [UInt8] = []

    init(_ key: SeriesKey) { self.key = key }

    mutating func index(of state: LineState, _ hint: GroupHint) -> Int {
        if hint.isOfStream,
            let known = cache.index(stream: hint.stream, batch: hint.batch)
        {
            return known
        }
        key.encode(state, into: &scratch)
        let index = table.index(of: scratch)
        if hint.isOfStream { cache.remember(index, stream: hint.stream, batch: hint.batch) }
        return index
    }
}
