// SPDX-License-Identifier: Apache-2.0
// Where lines are put together again.

import Base

/// Memory of a known size that is filled from its start. Writing past its end throws: the size is
/// what a block claims, and its columns may claim more.
struct LineBuffer {
    private let base: UnsafeMutableRawPointer
    private let capacity: Int
    private(set) var count = 0

    /// - Parameter memory: valid as long as the buffer is used; not empty.
    init(_ memory: UnsafeMutableRawPointer, capacity: Int) {
        base = memory
        self.capacity = capacity
    }

    private func overflow() -> MalformedBytes {
        MalformedBytes(offset: count, expected: "lines of \(capacity) bytes")
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard bytes.count <= capacity &- count else { throw overflow() }
        guard let source = bytes.baseAddress else { return }
        let target = base + count
        if bytes.count <= 16, capacity &- count >= 16, bytes.count >= 8 {
            // Two overlapping words; most pieces of a line are short.
            let last = bytes.count &- 8
            let a = source.loadUnaligned(as: UInt64.self)
            let b = source.loadUnaligned(fromByteOffset: last, as: UInt64.self)
            target.storeBytes(of: a, as: UInt64.self)
            target.storeBytes(of: b, toByteOffset: last, as: UInt64.self)
        } else {
            target.copyMemory(from: source, byteCount: bytes.count)
        }
        count &+= bytes.count
    }

    /// Writes a number in decimal.
    ///
    /// - Parameter width: digits, with zeros in front; 0 = as many as needed.
    @inline(__always)
    mutating func append(_ number: UInt64, width: Int) throws(MalformedBytes) {
        guard capacity &- count >= 20 else {
            try appendNearEnd(number, width: width)
            return
        }
        count &+= LineBuffer.write(number, width, to: base + count)
    }

    private mutating func appendNearEnd(
        _ number: UInt64, width: Int
    ) throws(MalformedBytes) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        try withUnsafeMutableBytes(of: &digits) { room throws(MalformedBytes) in
            guard let start = room.baseAddress else { return }
            let n = LineBuffer.write(number, width, to: start)
            try append(UnsafeRawBufferPointer(start: start, count: n))
        }
    }

    /// - Returns: digits written, at most 20.
    @inline(__always)
    private static func write(
        _ number: UInt64, _ width: Int, to target: UnsafeMutableRawPointer
    ) -> Int {
        let count = max(decimalDigits(number), width)
        var rest = number
        var at = count
        while at >= 2 {
            at &-= 2
            let quotient = rest / 100
            let pair = Int(truncatingIfNeeded: rest &- quotient &* 100)
            target.storeBytes(of: digitPairs[pair], toByteOffset: at, as: UInt16.self)
            rest = quotient
        }
        if at == 1 {
            target.storeBytes(
                of: UInt8(truncatingIfNeeded: rest) &+ UInt8(ascii: "0"), as: UInt8.self)
        }
        return count
    }

    /// Two digits each, as they lie in memory.
    private static let digitPairs: [UInt16] = (0..<100).map { number in
        let tens = UInt16(UInt8(ascii: "0")) + UInt16(number / 10)
        let ones = UInt16(UInt8(ascii: "0")) + UInt16(number % 10)
        return (ones << 8 | tens).littleEndian
    }

    /// Writes a line feed.
    @inline(__always)
    mutating func appendSeparator() throws(MalformedBytes) {
        guard count < capacity else { throw overflow() }
        base.storeBytes(of: UInt8(ascii: "\n"), toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    /// Writes sixteen lower-case hexadecimal digits.
    mutating func append(hex number: UInt64) throws(MalformedBytes) {
        try withUnsafeBytes(of: number.bigEndian) { bytes throws(MalformedBytes) in
            try append(hex: bytes)
        }
    }

    /// Writes bytes as lower-case hexadecimal digits.
    mutating func append(hex bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard bytes.count <= (capacity &- count) / 2 else { throw overflow() }
        var index = 0
        while index &+ 4 <= bytes.count {
            let four = bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self).littleEndian
            base.storeBytes(
                of: EightDigits.hex(four).littleEndian, toByteOffset: count, as: UInt64.self)
            count &+= 8
            index &+= 4
        }
        for byte in bytes[index...] {
            for nibble in [byte &>> 4, byte & 15] {
                base.storeBytes(
                    of: nibble < 10
                        ? nibble &+ UInt8(ascii: "0") : nibble &- 10 &+ UInt8(ascii: "a"),
                    toByteOffset: count, as: UInt8.self)
                count &+= 1
            }
        }
    }
}
