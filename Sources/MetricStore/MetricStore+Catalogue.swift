// SPDX-License-Identifier: Apache-2.0
// Names and values of labels.

import Base
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    package func labelNames(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        var names = InternTable()
        try forEachIndex(
            request, context,
            part: { part, index in
                let ids = try part.selected(index, request, context)
                try index.forEachName(of: ids) { _ = names.intern($0) }
            },
            shard: { state in
                let ids =
                    request.matchers.isEmpty ? nil : try state.select(request.matchers, context)
                try state.forEachName(of: ids) { _ = names.intern($0) }
            })
        return names.sortedTexts()
    }

    package func labelValues(
        _ name: String, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [String] {
        var values = InternTable()
        try forEachIndex(
            request, context,
            part: { part, index in
                guard let number = withBytes(of: name, { index.findName($0) }) else { return }
                try index.forEachValue(
                    number, name, request.matchers, context,
                    leavingOut: part.deletedSeries(request.range)
                ) { value in
                    index.withValue(number, value) { _ = values.intern($0) }
                }
            },
            shard: { state in
                guard let number = withBytes(of: name, { state.findName($0) }) else { return }
                try state.forEachValue(
                    number, name, request.matchers, context, leavingOut: nil
                ) { value in
                    state.withValue(number, value) { _ = values.intern($0) }
                }
            })
        return values.sortedTexts()
    }

    /// Calls back for each part and head shard that overlaps the range. The shard's call runs under
    /// its lock.
    private func forEachIndex(
        _ request: SeriesRequest, _ context: ReadContext,
        part: (MetricPart, PartIndex) throws -> Void,
        shard: (borrowing ShardState) throws -> Void
    ) throws {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        for opened in snapshot.parts where opened.overlaps(request.range) {
            try context.check()
            try tolerating(opened, context) { try part(opened, try index(of: opened)) }
        }
        for head in snapshot.heads {
            try context.check()
            for one in head.shards {
                try one.state.withLock { state in
                    if state.overlaps(request.range) { try shard(state) }
                }
            }
        }
    }
}

extension MetricPart {
    /// Tells which series have nothing left in a range; nil when nothing is deleted.
    fileprivate func deletedSeries(_ range: MillisRange) -> ((UInt32) -> Bool)? {
        if deletions.isEmpty { return nil }
        let span = span.intersection(range)
        return { self.deletions.covers(Int($0), span) }
    }

    /// Series that a request selects and of which something is left in its range; nil = all.
    fileprivate func selected(
        _ index: PartIndex, _ request: SeriesRequest, _ context: ReadContext
    ) throws -> Postings? {
        let ids = request.matchers.isEmpty ? nil : try index.select(request.matchers, context)
        guard let isDeleted = deletedSeries(request.range) else { return ids }
        return Postings(
            ascending: (ids ?? Postings(all: index.seriesCount)).ids.filter { !isDeleted($0) })
    }
}

extension InternTable {
    /// All entries as text, ascending bytewise.
    fileprivate func sortedTexts() -> [String] {
        sortedEntries().map { index in
            withBytes(index) { String(decoding: $0, as: UTF8.self) }
        }
    }
}
