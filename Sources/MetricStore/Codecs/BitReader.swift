// SPDX-License-Identifier: Apache-2.0
// Bits out of bytes, most significant first.

import Base

/// A cursor over the bits of borrowed bytes; every read is checked against the end.
struct BitReader {
    private let base: UnsafeRawPointer
    private let byteCount: Int
    /// Position of the next bit.
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
        byteCount = bytes.count
    }

    /// Bytes that were read at least in part.
    var bytesRead: Int { (position + 7) >> 3 }

    /// The next `n` bits as an unsigned number; `n` is 1…64.
    @inline(__always)
    mutating func bits(_ n: Int) throws(MalformedBytes) -> UInt64 {
        let byte = position &>> 3
        let shift = position & 7
        position &+= n
        if byte &+ 9 <= byteCount {
            let word = UInt64(bigEndian: base.loadUnaligned(fromByteOffset: byte, as: UInt64.self))
            var value = word &<< UInt64(shift)
            if shift &+ n > 64 {
                let next = base.load(fromByteOffset: byte &+ 8, as: UInt8.self)
                value |= UInt64(next) &>> UInt64(8 &- shift)
            }
            return value &>> UInt64(64 &- n)
        }
        return try bitsNearEnd(n, byte: byte, shift: shift)
    }

    @inline(__always)
    mutating func bit() throws(MalformedBytes) -> Bool {
        let byte = position &>> 3
        guard byte < byteCount else { throw overrun() }
        let value = base.load(fromByteOffset: byte, as: UInt8.self)
        let isSet = value &>> UInt8(7 &- (position & 7)) & 1 != 0
        position &+= 1
        return isSet
    }

    @inline(never)
    private func bitsNearEnd(
        _ n: Int, byte: Int, shift: Int
    ) throws(MalformedBytes) -> UInt64 {
        guard position <= byteCount &* 8 else { throw overrun() }
        var value: UInt64 = 0
        for bit in (byte &* 8 &+ shift)..<position {
            let source = base.load(fromByteOffset: bit &>> 3, as: UInt8.self)
            value = value &<< 1 | UInt64(source &>> UInt8(7 &- (bit & 7)) & 1)
        }
        return value
    }

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
