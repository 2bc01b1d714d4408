// SPDX-License-Identifier: Apache-2.0
// How long fuzz tests run.

import Base
import FoundationEssentials

/// How long tests with random input run: `TERN_FUZZ_SECONDS`, or a moment with a fixed seed.
package enum FuzzTime {
    package static let seconds =
        Double(ProcessInfo.processInfo.environment["TERN_FUZZ_SECONDS"] ?? "") ?? 0
    /// `TERN_FUZZ_SEED`, or always the same.
    package static let seed =
        UInt64(ProcessInfo.processInfo.environment["TERN_FUZZ_SEED"] ?? "") ?? 1

    /// Calls `body` with ascending numbers: `count` times, or as long as was asked for.
    package static func forEach(count: Int, _ body: (UInt64) throws -> Bool) rethrows -> UInt64 {
        let end = SystemClock().monotonicNanos + Int64(seconds * 1e9)
        var number: UInt64 = 0
        while seconds > 0 ? SystemClock().monotonicNanos < end : number < UInt64(count) {
            number += 1
            guard try body(seed &* 1_000_003 &+ number) else { break }
        }
        return number
    }
}
