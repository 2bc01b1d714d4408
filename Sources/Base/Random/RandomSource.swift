// SPDX-License-Identifier: Apache-2.0
// The seam between the product and chance.

import Synchronization

/// The only source of random numbers. Tests replace it by a seeded one.
package protocol RandomSource: Sendable {
    /// The next 64 random bits.
    func next() -> UInt64
}

/// Entropy of the machine.
package struct SystemRandom: RandomSource {
    package init() {}
    package func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}

/// SplitMix64: one multiplication chain per number, every seed gives a full-period sequence.
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
package struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64
    package init(seed: UInt64) { state = seed }
    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z &>> 31)
    }
}

/// The same numbers in every run with the same seed; shared between threads.
package final class SeededRandom: RandomSource {
    private let generator: Mutex<SplitMix64>
    package init(seed: UInt64) { generator = Mutex(SplitMix64(seed: seed)) }
    package func next() -> UInt64 { generator.withLock { $0.next() } }
}
