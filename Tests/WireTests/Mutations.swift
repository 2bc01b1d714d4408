// SPDX-License-Identifier: Apache-2.0
// Damage for decoders: the same on each run.

import TestKit

/// Hands `body` damaged versions of `seed`: cut, bytes changed, pieces removed, doubled or moved,
/// and plain noise.
func mutate(_ seed: [UInt8], rounds: Int, _ body: ([UInt8]) -> Void) {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    func random(_ n: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return n <= 0 ? 0 : Int(state &>> 33) % n
    }
    for round in 0..<rounds {
        var bytes = seed
        switch round % 8 {
        case 0: bytes = Array(seed.prefix(random(seed.count)))
        case 1: bytes = (0..<random(200)).map { _ in UInt8(random(256)) }
        case 2:
            let start = random(bytes.count)
            bytes.removeSubrange(start..<(start + random(min(40, bytes.count - start) + 1)))
        case 3:
            let start = random(bytes.count)
            let piece = Array(bytes[start..<(start + random(min(60, bytes.count - start) + 1))])
            bytes.insert(contentsOf: piece, at: random(bytes.count))
        default:
            for _ in 0...random(5) where !bytes.isEmpty {
                let at = random(bytes.count)
                bytes[at] = random(2) == 0 ? UInt8(random(256)) : bytes[at] ^ UInt8(1 << random(8))
            }
        }
        body(bytes)
    }
}
