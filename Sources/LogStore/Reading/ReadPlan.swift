// SPDX-License-Identifier: Apache-2.0
// Which rows of which sources a read has to look at.

import Storage
import Telemetry

/// Rows of one stream from one source over one stretch of time.
struct Piece {
    enum Origin {
        case block(LogPart, Int)
        case chunk(ChunkView)
    }
    var origin: Origin
    var minNanos: Int64
    var maxNanos: Int64
    /// Sources in order of arrival: parts, then heads.
    var source: UInt32
    /// Ordinal in the plan's streams.
    var stream: UInt32 = 0
    /// Order of arrival among the pieces of the stream.
    var rank: UInt32 = 0
}

/// The streams of a read, ascending by labels, each with its pieces.
struct ReadPlan {
    private(set) var streams: [Labels] = []
    private(set) var pieces: [Piece] = []
    /// Pieces of stream i are `starts[i]..<starts[i + 1]`.
    private var starts: [Int] = [0]
    /// Whether rows of equal time must be brought into order of arrival and freed of duplicates:
    /// where sources overlap in time, and where log records were applied out of order.
    private(set) var gathers: [Bool] = []

    func pieces(of stream: Int) -> Range<Int> { starts[stream]..<starts[stream + 1] }

    /// The pieces of each stream.
    var byStream: [Range<Int>] { streams.indices.map { pieces(of: $0) } }

    /// Collects pieces by stream; sources must be added in order of arrival.
    struct Builder {
        private var slots: [Labels: Int] = [:]
        private var labels: [Labels] = []
        private var pieces: [[Piece]] = []
        private var isDisordered: [Bool] = []
        private var source: UInt32 = 0

        private mutating func slot(_ stream: Labels) -> Int {
            if let found = slots[stream] { return found }
            slots[stream] = labels.count
            labels.append(stream)
            pieces.append([])
            isDisordered.append(false)
            return labels.count - 1
        }

        /// Adds the blocks of these streams that overlap the range and are not passed over.
        mutating func add(
            _ part: LogPart, streams: [Int], range: NanosRange, skipper: BlockSkipper? = nil
        ) throws {
            defer { source += 1 }
            for stream in streams {
                var found: Int?
                if let skipper, !skipper.begin(part.index.streams[stream]) { continue }
                for number in part.blocks(of: stream) {
                    let block = part.blocks[number]
                    guard range.overlaps(first: block.minNanos, last: block.maxNanos) else {
                        continue
                    }
                    if let skipper, try skipper.skips(number) { continue }
                    let index = found ?? slot(part.index.streams[stream])
                    found = index
                    pieces[index].append(
                        Piece(
                            origin: .block(part, number), minNanos: block.minNanos,
                            maxNanos: block.maxNanos, source: source))
                }
            }
        }

        /// Adds the chunks of one head that overlap the range.
        mutating func add(_ views: [StreamView], range: NanosRange) {
            defer { source += 1 }
            for view in views {
                var found: Int?
                for chunk in view.chunks
                where range.overlaps(first: chunk.minNanos, last: chunk.maxNanos) {
                    let index = found ?? slot(view.labels)
                    found = index
                    if !view.isOrdered { isDisordered[index] = true }
                    pieces[index].append(
                        Piece(
                            origin: .chunk(chunk), minNanos: chunk.minNanos,
                            maxNanos: chunk.maxNanos, source: source))
                }
            }
        }

        consuming func plan() -> ReadPlan {
            var plan = ReadPlan()
            let order = labels.indices.sorted { labels[$0] < labels[$1] }
            for (ordinal, slot) in order.enumerated() {
                plan.streams.append(labels[slot])
                plan.gathers.append(isDisordered[slot] || Builder.sourcesOverlap(pieces[slot]))
                for (rank, piece) in pieces[slot].enumerated() {
                    var piece = piece
                    piece.stream = UInt32(ordinal)
                    piece.rank = UInt32(rank)
                    plan.pieces.append(piece)
                }
                plan.starts.append(plan.pieces.count)
            }
            return plan
        }

        /// Whether two pieces from different sources share a moment.
        private static func sourcesOverlap(_ pieces: [Piece]) -> Bool {
            guard let first = pieces.first, pieces.contains(where: { $0.source != first.source })
            else { return false }
            // The latest end so far, and the latest end of any other source than that one.
            var latest = (end: Int64.min, source: UInt32.max)
            var other = Int64.min
            for piece in pieces.sorted(by: { $0.minNanos < $1.minNanos }) {
                if latest.source != UInt32.max {
                    let end = latest.source == piece.source ? other : latest.end
                    if end >= piece.minNanos, end != Int64.min || piece.minNanos == Int64.min {
                        return true
                    }
                }
                if piece.source == latest.source {
                    latest.end = max(latest.end, piece.maxNanos)
                } else if piece.maxNanos >= latest.end {
                    if latest.source != UInt32.max { other = max(other, latest.end) }
                    latest = (piece.maxNanos, piece.source)
                } else {
                    other = max(other, piece.maxNanos)
                }
            }
            return false
        }
    }
}
