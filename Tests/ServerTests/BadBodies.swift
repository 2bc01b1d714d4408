// SPDX-License-Identifier: Apache-2.0
// Bodies that no honest client sends.

import Base
import Wire

enum BadBodies {
    /// The same every time, and nothing that any decoder takes.
    static let noise: [UInt8] = {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        return (0..<4096).map { _ in
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state >> 32)
        }
    }()

    /// A snappy block that says it holds 4 GiB.
    static let hugeSnappy: [UInt8] = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x41]

    static let truncatedSnappy: [UInt8] = Array(
        Snappy.compress(noise + noise).dropLast(100))

    /// A gzip member of 80 MiB of zeros in some 500 KB: one literal, then the longest match there
    /// is, again and again, in one block of the fixed code.
    static let gzipBomb: [UInt8] = {
        var out: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
        var bits: UInt64 = 0
        var count = 0
        func put(_ value: UInt64, _ width: Int) {
            bits |= value << UInt64(count)
            count += width
            while count >= 8 {
                out.append(UInt8(truncatingIfNeeded: bits))
                bits >>= 8
                count -= 8
            }
        }
        // Codes go out with their first bit lowest.
        func reversed(_ code: UInt64, _ width: Int) -> UInt64 {
            (0..<width).reduce(0) { $0 << 1 | (code >> UInt64($1) & 1) }
        }
        put(0b011, 3)
        put(reversed(0x30, 8), 8)
        for _ in 0..<(80 << 20) / 258 {
            put(reversed(0b1100_0101, 8), 8)
            put(0, 5)
        }
        put(0, 7)
        put(0, 7)
        return out + [UInt8](repeating: 0, count: 8)
    }()

    static let zstdBomb = Zstd.compress([UInt8](repeating: 0, count: 80 << 20))

    /// Arrays in arrays, deeper than any call stack.
    static func deepJSON(_ key: String) -> [UInt8] {
        Array("{\"\(key)\":".utf8) + [UInt8](repeating: UInt8(ascii: "["), count: 200_000)
    }
}
