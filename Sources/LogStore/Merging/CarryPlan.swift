// SPDX-License-Identifier: Apache-2.0
// Which blocks a merge takes over as they are.

import Base
import Storage
import Telemetry

/// Tells which blocks of the parts to merge go over without being decoded: those that share no moment
/// with the same stream in another part, so that nothing has to be put in order or freed of
/// duplicates, and that are large enough already.
///
/// Lines go over by frame, the unit of compression and of the search index, so all blocks of a frame
/// go or none does. Then a line is taken apart into templates and values once or twice in its life,
/// however often its part is merged.
struct CarryPlan {
    /// By source, then block.
    private var carried: [[Bool]]

    /// - Parameters:
    ///   - parts: by source.
    ///   - leastBytes: of lines, on average of the blocks of a frame: smaller ones are better
    ///     joined.
    ///   - classOf: retention class of a stream. What shares a frame must go to the same part.
    init(
        _ plan: ReadPlan, _ parts: [LogPart], leastBytes: Int, classOf: (Labels) -> UInt8
    ) {
        carried = parts.map { [Bool](repeating: false, count: $0.blocks.count) }
        for stream in plan.streams.indices { markAlone(plan, stream) }
        let classes = plan.streams.map(classOf)
        var frames = parts.map { _ in [UInt32: Frame]() }
        for piece in plan.pieces {
            guard case .block(let part, let number) = piece.origin else { continue }
            let block = part.blocks[number]
            let isAlone = carried[Int(piece.source)][number]
            frames[Int(piece.source)][block.lines.frame, default: Frame()].add(
                block, isAlone && CarryPlan.mayGo(block, of: part),
                retentionClass: classes[Int(piece.stream)])
        }
        for (source, part) in parts.enumerated() {
            for (number, block) in part.blocks.enumerated() {
                let frame = frames[source][block.lines.frame]
                carried[source][number] =
                    block.lines.count > 0 && frame?.goes(leastBytes: leastBytes) ?? false
            }
        }
    }

    func carries(_ piece: Piece) -> Bool {
        guard case .block(_, let number) = piece.origin else { return false }
        return carried[Int(piece.source)][number]
    }

    /// What is known of the blocks of a frame of lines.
    private struct Frame {
        var blocks = 0
        var lineBytes = 0
        var allMayGo = true
        var retentionClass: UInt8?

        mutating func add(_ block: LogBlock, _ mayGo: Bool, retentionClass other: UInt8) {
            blocks += 1
            lineBytes += Int(block.lineBytes)
            if !mayGo || retentionClass ?? other != other { allMayGo = false }
            retentionClass = other
        }

        func goes(leastBytes: Int) -> Bool { allMayGo && lineBytes >= leastBytes * blocks }
    }

    private static func mayGo(_ block: LogBlock, of part: LogPart) -> Bool {
        // What is deleted is left out row by row; and parts with few frames list no words, which
        // the larger part then has to find.
        part.deletions.isEmpty && utcDay(ofNanos: block.minNanos) == utcDay(ofNanos: block.maxNanos)
            && (part.search.unit(ofFrame: block.lines.frame).map {
                part.search.units[$0].isListed
                    || part.search.units.count >= SearchIndexBuilder.minListedUnits
            } ?? false)
    }

    /// Marks the blocks of a stream that share no moment with another source.
    private mutating func markAlone(_ plan: ReadPlan, _ stream: Int) {
        let pieces = plan.pieces(of: stream).map { plan.pieces[$0] }
            .sorted { $0.minNanos < $1.minNanos }
        var isAlone = [Bool](repeating: true, count: pieces.count)
        // What lies before must end earlier, what comes after begin later.
        var ends = Extremes()
        for (index, piece) in pieces.enumerated() {
            if let end = ends.other(than: piece.source), end >= piece.minNanos {
                isAlone[index] = false
            }
            ends.add(piece.maxNanos, piece.source)
        }
        var starts = Extremes()
        for (index, piece) in pieces.enumerated().reversed() {
            if let start = starts.other(than: piece.source), ~start <= piece.maxNanos {
                isAlone[index] = false
            }
            starts.add(~piece.minNanos, piece.source)
        }
        for (index, piece) in pieces.enumerated() where isAlone[index] {
            if case .block(_, let number) = piece.origin {
                carried[Int(piece.source)][number] = true
            }
        }
    }

    /// The greatest value so far, and the greatest of any other source than that one's.
    private struct Extremes {
        private var first: (value: Int64, source: UInt32)?
        private var second: Int64?

        func other(than source: UInt32) -> Int64? {
            first?.source == source ? second : first?.value
        }

        mutating func add(_ value: Int64, _ source: UInt32) {
            guard let known = first, known.source != source else {
                first = (max(value, first?.value ?? .min), source)
                return
            }
            if value >= known.value {
                second = max(second ?? .min, known.value)
                first = (value, source)
            } else {
                second = max(second ?? .min, value)
            }
        }
    }
}
