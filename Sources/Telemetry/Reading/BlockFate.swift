// SPDX-License-Identifier: Apache-2.0
// What a read did with the blocks it came across.

import Synchronization

/// What became of a block of rows that a read came across.
package enum BlockFate: Int, CaseIterable, Sendable {
    /// Rows were decoded.
    case read
    /// Searched, and no row put together.
    case searched
    /// Not opened: no line has the words that are looked for.
    case skippedByWords
    /// Not opened: no line and no row has the id that is looked for.
    case skippedByIDs
    /// Lines not opened: no row has the structured metadata that is looked for.
    case skippedByMetadata
    /// Not opened: no row has a number that is looked for.
    case skippedByNumbers
    /// Counted without being opened.
    case counted
}

/// One counter for each fate.
final class BlockCounters: Sendable {
    private let read = Atomic<Int>(0)
    private let searched = Atomic<Int>(0)
    private let words = Atomic<Int>(0)
    private let ids = Atomic<Int>(0)
    private let metadata = Atomic<Int>(0)
    private let numbers = Atomic<Int>(0)
    private let counted = Atomic<Int>(0)

    func add(_ n: Int, _ fate: BlockFate) {
        switch fate {
        case .read: read.wrappingAdd(n, ordering: .relaxed)
        case .searched: searched.wrappingAdd(n, ordering: .relaxed)
        case .skippedByWords: words.wrappingAdd(n, ordering: .relaxed)
        case .skippedByIDs: ids.wrappingAdd(n, ordering: .relaxed)
        case .skippedByMetadata: metadata.wrappingAdd(n, ordering: .relaxed)
        case .skippedByNumbers: numbers.wrappingAdd(n, ordering: .relaxed)
        case .counted: counted.wrappingAdd(n, ordering: .relaxed)
        }
    }

    func count(_ fate: BlockFate) -> Int {
        switch fate {
        case .read: read.load(ordering: .relaxed)
        case .searched: searched.load(ordering: .relaxed)
        case .skippedByWords: words.load(ordering: .relaxed)
        case .skippedByIDs: ids.load(ordering: .relaxed)
        case .skippedByMetadata: metadata.load(ordering: .relaxed)
        case .skippedByNumbers: numbers.load(ordering: .relaxed)
        case .counted: counted.load(ordering: .relaxed)
        }
    }
}
