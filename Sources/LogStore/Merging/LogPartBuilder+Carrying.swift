// SPDX-License-Identifier: Apache-2.0
// Blocks that go from part to part as they are.

import Base
import Storage
import Telemetry

extension LogPartBuilder {
    /// Takes over a block of the stream that was begun last, with the frame of its lines. Only its
    /// trace ids are numbered anew.
    ///
    /// - Throws: `PartCorruption` when the block cannot be read.
    mutating func carry(_ number: Int, of carrier: CarriedPart) throws {
        closeBlock()
        let part = carrier.part
        var block = part.blocks[number]
        let numbers = try carrier.column(block.numbers, ofBlock: number)
        let pairs =
            block.metadata.count > 0 ? try carrier.column(block.metadata, ofBlock: number) : []
        let ids = try part.ids(number, carrier.cache)
        let nanos = ids.isEmpty ? [] : try part.numbers(number, carrier.cache).nanos
        block.lines = try carrier.move(block.lines, into: &store, &search)
        block.stream = UInt32(streams.count - 1)
        block.numbers = numberFrames.place(numbers, in: &store)
        block.metadata = metadataFrames.place(pairs, in: &store)
        block.ids = .none
        blocks.append(block)
        ranges.add(part.ranges.ranges(ofBlock: number), ofBlock: blocks.count - 1)
        placeIDs(ids, nanos, ofBlock: blocks.count - 1)
        rowCount += Int(block.rows)
        minNanos = min(minNanos, block.minNanos)
        maxNanos = max(maxNanos, block.maxNanos)
    }

    /// Takes over the words of the frames that were taken over.
    mutating func carryWords(of carrier: CarriedPart) throws {
        try carrier.part.words(carrier.cache) { words in
            try search.carryWords(of: words, carrier.units)
        }
    }
}
