// SPDX-License-Identifier: Apache-2.0
// Many traces at once.

import Base
import Storage
import Telemetry

extension TraceStore {
    /// Traces that are read together. Blocks are sorted by service and name, so a trace lies in many
    /// and a block in many traces: reading it once for all of them is what makes thousands cheap.
    private enum Together {
        /// The first few are often enough for a search.
        static let first = 16
        static let most = 8192
        /// Bytes of spans that are held at a time, as far as the last ones tell.
        static let bytes = 32 << 20
    }

    package func traces(
        _ ids: [TraceID], tenant: Tenant, _ context: ReadContext,
        _ body: (SpanBatch) throws -> Bool
    ) throws {
        let snapshot = snapshot()
        snapshot.noteMissing(tenant, .all, context)
        let parts = snapshot.parts(of: tenant), heads = snapshot.heads(of: tenant)
        var next = 0, size = Together.first
        while next < ids.count {
            try context.check()
            let chunk = ids[next..<min(next + size, ids.count)]
            next = chunk.endIndex
            var gatherers = [SpanGatherer](repeating: SpanGatherer(), count: chunk.count)
            // The oldest data first, so that of duplicates the first acknowledged stays.
            for part in parts { try part.gather(chunk, into: &gatherers, context) }
            for head in heads {
                for (place, id) in chunk.enumerated() {
                    _ = head.shard(id).gather(id, into: &gatherers[place])
                }
            }
            let byteCount = gatherers.reduce(0) { $0 + $1.byteCount }
            try context.reserve(byteCount)
            defer { context.release(byteCount) }
            for place in gatherers.indices {
                let batch = gatherers[place].batch.distinctByStart()
                gatherers[place] = SpanGatherer()
                if try !body(batch) { return }
            }
            let perTrace = max(1, byteCount / chunk.count)
            size = max(1, min(size * 4, Together.most, Together.bytes / perTrace))
        }
    }
}

extension StoredPart {
    /// Copies the spans of traces, each into the gatherer at its place. What is damaged is left out
    /// and noted in the context. Reads each block that holds some of them once.
    fileprivate func gather(
        _ ids: ArraySlice<TraceID>, into gatherers: inout [SpanGatherer], _ context: ReadContext
    ) throws(QueryInterruption) {
        /// Place of a trace, by its number in the part.
        var places: [UInt32: Int] = [:]
        let blocks: Set<Int>
        let part: TracePart
        do throws(PartCorruption) {
            for (place, id) in ids.enumerated() {
                if let number = try number(of: id) { places[UInt32(number)] = place }
            }
            if places.isEmpty { return }
            blocks = try self.blocks(ofTraces: Array(places.keys))
            part = try opened()
        } catch {
            context.noteMissing(error)
            return
        }
        for number in blocks.sorted() {
            try context.check()
            var block = SpanBlock(part, part.directory.blocks[number])
            let batch: SpanBatch
            var owners: [Int] = []
            do throws(PartCorruption) {
                var rows: [Int] = []
                for (row, trace) in try block.traces().enumerated() {
                    guard let place = places[trace] else { continue }
                    rows.append(row)
                    owners.append(place)
                }
                if rows.isEmpty { continue }
                batch = try block.materialise(rows: rows)
            } catch {
                context.noteMissing(error)
                continue
            }
            try context.count(samples: batch.rowCount, bytes: block.bytesRead)
            var begun: Set<Int> = []
            for (row, place) in owners.enumerated() {
                if begun.insert(place).inserted { gatherers[place].begin(batch) }
                gatherers[place].add(batch, row)
            }
        }
    }

    /// Numbers of the blocks that hold rows of any of the traces. Reads each page once.
    private func blocks(ofTraces numbers: [UInt32]) throws(PartCorruption) -> Set<Int> {
        var found: Set<Int> = []
        var rest = numbers.sorted()[...]
        while let first = rest.first {
            let page = Int(first) / Limits.indexPageTraces
            var number = UInt32(page * Limits.indexPageTraces)
            try forEachTrace(inBlockPage: page) { blocks in
                if rest.first == number {
                    found.formUnion(blocks)
                    rest.removeFirst()
                }
                number += 1
                return rest.first.map { Int($0) / Limits.indexPageTraces == page } ?? false
            }
            // A page that is shorter than the index says cannot hold the others.
            while let next = rest.first, Int(next) / Limits.indexPageTraces == page {
                rest.removeFirst()
            }
        }
        return found
    }
}

extension SpanBatch {
    /// Each span once, by start.
    fileprivate func distinctByStart() -> SpanBatch {
        var seen: Set<SpanKey> = []
        let rows = traceIDs.indices.filter { seen.insert(key($0)).inserted }
            .sorted { startNanos[$0] == startNanos[$1] ? $0 < $1 : startNanos[$0] < startNanos[$1] }
        if rows == Array(traceIDs.indices) { return self }
        var ordered = SpanGatherer()
        ordered.begin(self)
        for row in rows { ordered.add(self, row) }
        return ordered.batch
    }
}
