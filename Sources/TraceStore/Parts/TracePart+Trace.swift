// SPDX-License-Identifier: Apache-2.0
// One trace of a part.

import Base
import Storage
import Telemetry

/// Spans of one trace as they come from heads and parts.
struct TraceGathering {
    var spans = SpanGatherer()
    /// Stored structure of the rows of `spans`, as of the part they come from.
    var tree = TreeColumns()
    /// Heads and parts that had some. The stored structure is that of the trace when one part had
    /// all of it.
    var sources = 0
    let withTree: Bool

    init(withTree: Bool) { self.withTree = withTree }
}

extension StoredPart {
    /// Copies the spans of one trace, in row order. What is damaged is left out and noted in the
    /// context. Costs one page of the trace index and the blocks that hold its rows.
    func gather(
        _ id: TraceID, into gathering: inout TraceGathering, _ context: ReadContext
    ) throws(QueryInterruption) {
        let number: Int
        let blocks: [Int]
        let part: TracePart
        do throws(PartCorruption) {
            guard let found = try self.number(of: id) else { return }
            number = found
            blocks = try self.blocks(ofTrace: number)
            part = try opened()
        } catch {
            context.noteMissing(error)
            return
        }
        gathering.sources += 1
        for blockNumber in blocks {
            try context.check()
            var block = SpanBlock(part, part.directory.blocks[blockNumber])
            let batch: SpanBatch
            do throws(PartCorruption) {
                let traces = try block.traces()
                let rows = traces.indices.filter { traces[$0] == UInt32(number) }
                batch = try block.materialise(rows: rows)
                if gathering.withTree { gathering.tree.add(try block.tree(), rows: rows) }
            } catch {
                context.noteMissing(error)
                // Structure of a part of a trace is none.
                gathering.sources += 1
                continue
            }
            try context.count(samples: batch.rowCount, bytes: block.bytesRead)
            gathering.spans.begin(batch)
            for row in 0..<batch.rowCount { gathering.spans.add(batch, row) }
        }
    }
}

extension TreeColumns {
    fileprivate mutating func add(_ other: TreeColumns, rows: [Int]) {
        depths += rows.map { other.depths[$0] }
        isRoot += rows.map { other.isRoot[$0] }
        lefts += rows.map { other.lefts[$0] }
        descendants += rows.map { other.descendants[$0] }
        children += rows.map { other.children[$0] }
        selfTimes += rows.map { other.selfTimes[$0] }
        criticalPaths += rows.map { other.criticalPaths[$0] }
    }

    /// The structure of a whole trace.
    ///
    /// - Parameter rows: of these columns, in the order wanted.
    func structure(_ rows: [Int]) -> SpanStructure {
        SpanStructure(
            root: rows.firstIndex { isRoot[$0] }, depths: rows.map { depths[$0] },
            lefts: rows.map { lefts[$0] },
            rights: rows.map { lefts[$0] &+ descendants[$0] &* 2 &+ 1 },
            childCounts: rows.map { children[$0] }, selfTimeNanos: rows.map { selfTimes[$0] },
            criticalPathNanos: rows.map { criticalPaths[$0] })
    }
}
