// SPDX-License-Identifier: Apache-2.0
// Order and equality of raw bytes.

import Base
import Testing

/// Lengths around the eight bytes that are compared at once, and every place of a difference.
@Test func bytesAreOrderedLikeTheirSequences() {
    var random = SplitMix64(seed: 6)
    var faults: [String] = []
    for length in 0...40 {
        for other in max(0, length - 9)...(length + 9) {
            let a = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            var b = Array((a + [UInt8](repeating: 0x80, count: 20)).prefix(other))
            for place in -1..<other {
                if place >= 0 { b[place] ^= UInt8(1 + random.next() % 255) }
                let order = a.withUnsafeBytes { x in b.withUnsafeBytes { compareBytes(x, $0) } }
                let isEqual = a.withUnsafeBytes { x in b.withUnsafeBytes { equalBytes(x, $0) } }
                let expected = a == b ? 0 : (a.lexicographicallyPrecedes(b) ? -1 : 1)
                if order != expected || isEqual != (a == b) { faults.append("\(a) and \(b)") }
                if place >= 0 { b[place] = place < length ? a[place] : 0x80 }
            }
        }
    }
    #expect(faults.isEmpty, "\(faults.prefix(3))")
}
