// SPDX-License-Identifier: Apache-2.0
// Counts from what blocks say of themselves.

import Base
import Storage
import Telemetry

extension LogStore {
    /// Blocks that lie in the range as a whole, whose rows count alike and which no other source
    /// overlaps are counted without being opened.
    package func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        guard request.filters.isEmpty, RowConditions(request).isEmpty else {
            return try read(request, context, body)
        }
        var request = request
        request.order = .any
        request.limit = 0
        let source = try source(request, .none, context)
        for range in source.days(of: request.range) {
            let plan = try source.plan(range)
            var merge = RowMerge(
                plan, range: range, filter: .none, cache: cache, isDescending: false,
                columns: request.columns, context, damaged: .skip)
            let goesOn = try withoutActuallyEscaping(body) { body in
                var sink = BatchSink(plan.streams, isDescending: false, limit: 0, body)
                for stream in plan.streams.indices {
                    try context.check()
                    let rest = try count(stream, of: plan, range, context, counting)
                    if rest.isEmpty { continue }
                    if try !merge.run(rest, into: &sink, checkpoint: { try context.check() }) {
                        return false
                    }
                }
                return try sink.flush()
            }
            if !goesOn { return }
        }
    }

    /// Counts what can be counted.
    ///
    /// - Returns: the other pieces of the stream.
    private func count(
        _ stream: Int, of plan: ReadPlan, _ range: NanosRange, _ context: ReadContext,
        _ counting: RowCounting
    ) throws -> [Int] {
        let labels = plan.streams[stream]
        var rest: [Int] = []
        let pieces = plan.pieces(of: stream)
        let overlapping = plan.overlapping(pieces)
        for (number, overlaps) in zip(pieces, overlapping) {
            let piece = plan.pieces[number]
            guard !overlaps, case .block(let part, let index) = piece.origin,
                // What is deleted is told by the rows.
                part.deletions.isEmpty, range.contains(piece.minNanos),
                range.contains(piece.maxNanos),
                counting.areAlike(
                    labels, piece.minNanos, piece.maxNanos, part.blocks[index].metadata.count > 0)
            else {
                rest.append(number)
                continue
            }
            let block = part.blocks[index]
            try counting.count(labels, block.minNanos, Int(block.rows), Int(block.lineBytes))
            context.count(blocks: 1, .counted)
        }
        return rest
    }
}

extension ReadPlan {
    /// Which of a stream's pieces share a moment with a piece of another source.
    ///
    /// - Complexity: O(n log n) where few pieces overlap.
    func overlapping(_ range: Range<Int>) -> [Bool] {
        var result = [Bool](repeating: false, count: range.count)
        guard gathers[Int(pieces[range.lowerBound].stream)] else { return result }
        var open: [Int] = []
        for number in range.sorted(by: { pieces[$0].minNanos < pieces[$1].minNanos }) {
            let piece = pieces[number]
            open.removeAll { pieces[$0].maxNanos < piece.minNanos }
            for other in open where pieces[other].source != piece.source {
                result[other - range.lowerBound] = true
                result[number - range.lowerBound] = true
            }
            open.append(number)
        }
        return result
    }
}
