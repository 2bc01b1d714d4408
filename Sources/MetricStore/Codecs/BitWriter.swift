// SPDX-License-Identifier: Apache-2.0
// Bits into words, most significant first.

import Base

/// A growing stream of bits. The memory of `words` is the byte stream that `BitReader` reads: each
/// word is kept big-endian.
struct BitWriter: Sendable {
    private(set) var words: [UInt64] = []
    /// As `words.count`, known without a look at their memory.
    private var wordCount: UInt32 = 0
    /// Bits of the last word that are still free.
    private var free: UInt8 = 0

    /// Bytes that hold at least one written bit.
    var byteCount: Int { words.count * 8 - Int(free >> 3) }

    /// Appends the low `n` bits of `value`, whose other bits are zero; `n` is 1…64.
    @inline(__always)
    mutating func put(_ value: UInt64, _ n: Int) {
        let free = Int(self.free)
        if n <= free {
            words[words.count &- 1] |= (value &<< UInt64(free &- n)).bigEndian
            self.free = UInt8(truncatingIfNeeded: free &- n)
        } else {
            let rest = n &- free
            if free > 0 { words[words.count &- 1] |= (value &>> UInt64(rest)).bigEndian }
            words.append((value &<< UInt64(64 &- rest)).bigEndian)
            wordCount &+= 1
            self.free = UInt8(truncatingIfNeeded: 64 &- rest)
        }
    }

    /// Asks for the memory that the next `put` touches: the array's header and its last word.
    /// Mutating, so that it works in place: a copy would count a reference and wait for that memory.
    @inline(__always)
    mutating func prefetchEnd() {
        words.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            prefetch(base - 16, base + Int(wordCount) &* 8)
        }
    }

    /// The stream, padded with zero bits to a whole byte.
    func appendBytes(to out: inout [UInt8]) {
        words.withUnsafeBytes { out.append(contentsOf: $0.prefix(byteCount)) }
    }
}
