// SPDX-License-Identifier: Apache-2.0
// Which spans of a batch are in parts already.

import Storage
import Telemetry

extension TraceStore {
    /// Rows of a batch that parts hold, ascending: those that were sent again after their head was
    /// sealed. `append` tells those of the heads.
    ///
    /// Spans that start after everything in parts cost a comparison; others the filter of their
    /// trace, and where it is stored a page of the index and the span ids of its blocks. Parts that
    /// cannot be read hold nothing here.
    package func storedRows(of batch: SpanBatch, tenant: Tenant) -> [Int] {
        guard let first = batch.startNanos.min(), let last = batch.startNanos.max() else {
            return []
        }
        var isStored = [Bool](repeating: false, count: batch.rowCount)
        for part in snapshot().parts(of: tenant)
        where part.minStart <= last && first <= part.maxStart {
            var lookup = StoredSpanLookup(part)
            for row in 0..<batch.rowCount where !isStored[row] {
                isStored[row] = (try? lookup.contains(batch.key(row))) ?? false
            }
        }
        return isStored.indices.filter { isStored[$0] }
    }
}

/// Looks spans up in one part; those of a trace one after the other cost least.
private struct StoredSpanLookup {
    let stored: StoredPart
    /// With its directory, once a trace was found in it.
    private var part: TracePart?
    private var trace = TraceID.zero
    private var number: Int?
    private var blocks: [Int] = []
    /// Blocks of which more than the span ids was wanted.
    private var opened: [Int: SpanBlock] = [:]

    init(_ stored: StoredPart) { self.stored = stored }

    mutating func contains(_ key: SpanKey) throws(PartCorruption) -> Bool {
        guard stored.minStart <= key.startNanos, key.startNanos <= stored.maxStart else {
            return false
        }
        if trace != key.traceID {
            trace = key.traceID
            blocks = []
            number = try stored.number(of: trace)
            if let number { blocks = try stored.blocks(ofTrace: number) }
        }
        guard let number else { return false }
        let part: TracePart
        if let known = self.part { part = known } else { part = try stored.opened() }
        self.part = part
        for block in blocks {
            let entry = part.directory.blocks[block]
            guard entry.minStart <= key.startNanos, key.startNanos <= entry.maxStart,
                entry.kinds & BlockEntry.bit(key.kind) != 0
            else { continue }
            let places = try part.places(of: key.spanID, inBlock: block)
            if places.isEmpty { continue }
            var rows = opened[block] ?? SpanBlock(part, entry)
            let starts = try rows.starts(), kinds = try rows.sources().kinds
            let traces = try rows.traces()
            opened[block] = rows
            let isThere = places.contains {
                traces[$0] == UInt32(number) && starts[$0] == key.startNanos
                    && kinds[$0] == key.kind
            }
            if isThere { return true }
        }
        return false
    }
}
