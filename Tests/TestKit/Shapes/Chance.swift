// SPDX-License-Identifier: Apache-2.0
// Random numbers that can be asked for in any order.

import Base

/// Numbers that depend on a seed and a place only: item 7 of a run is the same whether or not items
/// 0…6 were made before it, so that batches can be made in parallel and made again to check them.
package struct Chance: Sendable {
    private var generator: SplitMix64

    /// The numbers at a place, for example (signal, item).
    package init(seed: UInt64, _ first: UInt64, _ second: UInt64 = 0) {
        generator = SplitMix64(seed: Chance.hash(seed, first, second))
    }

    package mutating func next() -> UInt64 { generator.next() }

    /// 0..<bound; the tiny bias of the multiplication does not matter here. 0 when `bound` is 0.
    package mutating func below(_ bound: Int) -> Int {
        Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// True `numerator` times in `denominator`.
    package mutating func happens(_ numerator: Int, in denominator: Int) -> Bool {
        below(denominator) < numerator
    }

    /// 0..<1.
    package mutating func fraction() -> Double { Double(next() &>> 11) * 0x1p-53 }

    /// One of several: small indices more often, as names and paths are in the world.
    package mutating func skewed(_ bound: Int) -> Int {
        let f = fraction()
        return min(bound - 1, Int(f * f * Double(bound)))
    }

    /// A number of a place alone.
    package static func hash(_ seed: UInt64, _ first: UInt64, _ second: UInt64 = 0) -> UInt64 {
        var mixer = SplitMix64(
            seed: seed ^ first &* 0xd6e8_feb8_6659_fd93 ^ (second &+ 1) &* 0xa076_1d64_78bd_642f)
        return mixer.next()
    }
}
