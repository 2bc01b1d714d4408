// SPDX-License-Identifier: Apache-2.0
// Bits out of bytes, most significant first.

import Base

/// A cursor over the bits of borrowed bytes; every step is checked against the end.
struct BitReader {
    private let base: UnsafeRawPointer
    private let byteCount: Int
    private let bitCount: Int
    /// Position of the next bit.
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        byteCount = bytes.count
        bitCount = bytes.count &* 8
    }

    /// Bytes that were read at least in part.
    var bytesRead: Int { (position &+ 7) &>> 3 }

    /// The next 64 bits without taking them; zeros beyond the end.
    @inline(__always)
    func window() -> UInt64 {
        let byte = position &>> 3
        let shift = UInt64(truncatingIfNeeded: position & 7)
        guard byte &+ 9 <= byteCount else { return windowNearEnd(byte, shift) }
        let word = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: byte, as: UInt64.self))
        let next = UInt64(base.load(fromByteOffset: byte &+ 8, as: UInt8.self))
        // The ninth byte moves up with the others and then fills the bits they left.
        return word &<< shift | (next &<< shift) &>> 8
    }

    @inline(never)
    private func windowNearEnd(_ byte: Int, _ shift: UInt64) -> UInt64 {
        var word: UInt64 = 0
        for i in 0..<8 where byte &+ i < byteCount {
            let next = UInt64(base.load(fromByteOffset: byte &+ i, as: UInt8.self))
            word |= next &<< UInt64(56 &- 8 &* i)
        }
        return word &<< shift
    }

    /// Takes `n` bits that were looked at.
    @inline(__always)
    mutating func take(_ n: Int) throws(MalformedBytes) {
        position &+= n
        if position > bitCount { throw overrun() }
    }

    /// The next `n` bits as an unsigned number; `n` is 1…64.
    @inline(__always)
    mutating func bits(_ n: Int) throws(MalformedBytes) -> UInt64 {
        let value = window() &>> UInt64(64 &- n)
        try take(n)
        return value
    }

    /// Most bits that `short` reads.
    static let maxShort = 57

    /// Whether the next `n` bits may be read by `short`.
    @inline(__always)
    func hasWords(_ n: Int) -> Bool { position &+ n &+ 64 <= bitCount }

    /// The next `n` bits, 1…`maxShort`, of those that `hasWords` has answered for.
    @inline(__always)
    mutating func short(_ n: Int) -> UInt64 {
        let word = UInt64(
            bigEndian: base.loadUnaligned(fromByteOffset: position &>> 3, as: UInt64.self))
        let value = (word &<< UInt64(truncatingIfNeeded: position & 7)) &>> UInt64(64 &- n)
        position &+= n
        return value
    }

    @inline(__always)
    mutating func bit() throws(MalformedBytes) -> Bool { try bits(1) != 0 }

    @inline(never)
    private func overrun() -> MalformedBytes {
        MalformedBytes(offset: byteCount, expected: "more bits")
    }
}

/// Sign-extends the low `n` bits.
@inline(__always)
func signed(_ value: UInt64, _ n: Int) -> Int64 {
    Int64(bitPattern: value &<< UInt64(64 &- n)) &>> Int64(64 &- n)
}
