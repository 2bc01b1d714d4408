// SPDX-License-Identifier: Apache-2.0
// Which blocks of a part passed their checksum.

import Synchronization

/// A bit per block, set by whoever checked it and asked for at each read, by any number of threads
/// without a lock.
struct BlockChecks: Sendable {
    private final class Word: Sendable {
        let bits = Atomic<UInt64>(0)
    }
    private let words: [Word]

    init(count: Int) { words = (0..<(count + 63) / 64).map { _ in Word() } }

    func contains(_ block: Int) -> Bool {
        words[block / 64].bits.load(ordering: .relaxed) & BlockChecks.bit(block) != 0
    }

    func insert(_ block: Int) {
        words[block / 64].bits.bitwiseOr(BlockChecks.bit(block), ordering: .relaxed)
    }

    private static func bit(_ block: Int) -> UInt64 { 1 &<< UInt64(block % 64) }
}
