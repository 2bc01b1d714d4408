// SPDX-License-Identifier: Apache-2.0
// Sealed float values: the smallest of three codings.

import Base
import Telemetry

/// Coding of a non-empty column of doubles, bit-exact for every pattern including NaN payloads.
///
///     u8 codec
///     0 constant   f64
///     1 decimal    u8 exponent | varint exceptionCount | exceptions | integer column
///     2 xor        bits
///
/// *Decimal*: value = integer / 10^exponent, verified bit for bit when encoding. What is no such
/// number (stale markers, other NaNs, infinities, −0) is an exception: varint (gap × 2 + isStale),
/// and its u64 unless it is stale; the integer column repeats the integer before it.
///
/// *XOR* with the value before: `0` the same, `10` bits in the window in use, `110` 6 bits of
/// leading zeros, 6 bits of width − 1 and bits, `111` a stale marker, which leaves the reference
/// as it was.
///
/// Codec numbers are on disk: new ones are added, none is reused.
enum ValueColumn {
    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ]
    /// Integers up to here are exact doubles and leave room for differences.
    private static let maxInteger = 9_007_199_254_740_992.0

    static func encode(_ values: ArraySlice<Double>, into writer: inout ByteWriter) {
        guard let first = values.first?.bitPattern else {
            preconditionFailure("a column has values")
        }
        if values.allSatisfy({ $0.bitPattern == first }) {
            writer.u8(0)
            writer.u64(first)
            return
        }
        let xor = encodeXOR(values)
        if let decimal = encodeDecimal(values), decimal.count <= xor.byteCount {
            writer.u8(1)
            writer.raw(decimal)
        } else {
            writer.u8(2)
            xor.appendBytes(to: &writer.bytes)
        }
    }

    /// Appends `n` decoded values, `n` ≥ 1.
    static func decode(
        _ n: Int, _ reader: inout ByteReader, into out: inout [Double]
    ) throws(MalformedBytes) {
        switch try reader.u8() {
        case 0:
            let value = try reader.double()
            out.append(contentsOf: repeatElement(value, count: n))
        case 1: try decodeDecimal(n, &reader, into: &out)
        case 2: try decodeXOR(n, &reader, into: &out)
        default: throw reader.malformed("value codec")
        }
    }

    /// Whether value `position` of `n` is a stale marker. Of a decimal column only the exceptions
    /// are read, of others what comes before the value.
    static func isStale(
        at position: Int, _ n: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> Bool {
        switch try reader.u8() {
        case 0: return try reader.u64() == StaleMarker.bits
        case 1:
            _ = try reader.u8()
            return try exception(at: position, n, &reader) == StaleMarker.bits
        case 2: return try valueXOR(at: position, &reader) == StaleMarker.bits
        default: throw reader.malformed("value codec")
        }
    }

    /// Bits of value `position` of `n`, without the memory of the others.
    static func bits(
        at position: Int, _ n: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> UInt64 {
        switch try reader.u8() {
        case 0: return try reader.u64()
        case 1:
            let exponent = Int(try reader.u8())
            guard exponent < powers.count else { throw reader.malformed("decimal exponent") }
            if let bits = try exception(at: position, n, &reader) { return bits }
            let integer = try IntegerColumn.value(at: position, &reader)
            return (exponent == 0 ? Double(integer) : Double(integer) / powers[exponent])
                .bitPattern
        case 2: return try valueXOR(at: position, &reader)
        default: throw reader.malformed("value codec")
        }
    }

    private static func exception(
        at position: Int, _ n: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> UInt64? {
        var found: UInt64?
        try forEachException(n, &reader) { index, bits in
            if index == position { found = bits }
        }
        return found
    }

    private static func valueXOR(
        at position: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> UInt64 {
        var last: UInt64 = 0
        try forEachXOR(position + 1, &reader) { last = $0 }
        return last
    }

    // MARK: - Decimal

    /// The integer whose quotient by the power is exactly `value`, if there is one.
    @inline(__always)
    private static func scaled(_ value: Double, _ power: Double) -> Int64? {
        let product = (value * power).rounded()
        guard product.magnitude <= maxInteger else { return nil }
        // Through the integer, so that −0 is no match.
        let integer = Int64(product)
        return (Double(integer) / power).bitPattern == value.bitPattern ? integer : nil
    }

    private static func encodeDecimal(_ values: ArraySlice<Double>) -> [UInt8]? {
        // Finds an exponent that fits all, then scales all by it; a value that fits none is an
        // exception, of which there may be one in eight.
        let maxExceptions = max(2, values.count / 8)
        var exponent = 0
        var misfits = 0
        for value in values {
            var candidate = exponent
            while candidate < powers.count, scaled(value, powers[candidate]) == nil {
                candidate += 1
            }
            if candidate < powers.count {
                exponent = candidate
            } else {
                misfits += 1
                if misfits > maxExceptions { return nil }
            }
        }
        var integers: [Int64] = []
        integers.reserveCapacity(values.count)
        var exceptions = ByteWriter()
        var exceptionCount = 0
        var gap = 0
        let power = powers[exponent]
        for value in values {
            if let integer = scaled(value, power) {
                integers.append(integer)
                gap += 1
                continue
            }
            exceptionCount += 1
            if exceptionCount > maxExceptions { return nil }
            // Before the first regular value the integer is unknown; 0 may cost width, not truth.
            integers.append(integers.last ?? 0)
            let isStale = StaleMarker.isStale(value)
            exceptions.varint(gap * 2 + (isStale ? 1 : 0))
            if !isStale { exceptions.u64(value.bitPattern) }
            gap = 0
        }
        var writer = ByteWriter()
        writer.u8(UInt8(truncatingIfNeeded: exponent))
        writer.varint(exceptionCount)
        writer.raw(exceptions.bytes)
        IntegerColumn.encode(integers, into: &writer)
        return writer.bytes
    }

    private static func decodeDecimal(
        _ n: Int, _ reader: inout ByteReader, into out: inout [Double]
    ) throws(MalformedBytes) {
        let exponent = Int(try reader.u8())
        guard exponent < powers.count else { throw reader.malformed("decimal exponent") }
        var exceptions: [(index: Int, bits: UInt64)] = []
        try forEachException(n, &reader) { exceptions.append(($0, $1)) }
        let power = powers[exponent]
        let start = out.count
        out.append(contentsOf: repeatElement(0, count: n))
        let result = out.withUnsafeMutableBufferPointer { out -> Result<Void, MalformedBytes> in
            // Integers first, then numbers in their place.
            let place = UnsafeMutableBufferPointer(rebasing: out[start...])
            do throws(MalformedBytes) {
                try withIntegers(in: place) { integers throws(MalformedBytes) in
                    try IntegerColumn.decode(&reader, into: integers)
                }
            } catch { return .failure(error) }
            for i in 0..<n {
                let integer = Double(Int64(bitPattern: place[i].bitPattern))
                place[i] = exponent == 0 ? integer : integer / power
            }
            return .success(())
        }
        try result.get()
        for exception in exceptions {
            out[start + exception.index] = Double(bitPattern: exception.bits)
        }
    }

    /// The memory of doubles as that of as many integers.
    @inline(__always)
    private static func withIntegers<R>(
        in doubles: UnsafeMutableBufferPointer<Double>,
        _ body: (UnsafeMutableBufferPointer<Int64>) throws(MalformedBytes) -> R
    ) throws(MalformedBytes) -> R {
        let result = doubles.withMemoryRebound(to: Int64.self) {
            integers -> Result<R, MalformedBytes> in
            do throws(MalformedBytes) { return .success(try body(integers)) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Calls `body` with place and bits of each value that is no decimal number.
    private static func forEachException(
        _ n: Int, _ reader: inout ByteReader, _ body: (Int, UInt64) -> Void
    ) throws(MalformedBytes) {
        var index = 0
        for _ in 0..<(try reader.length(limit: n, "number of exceptions")) {
            let mark = try reader.length(limit: 2 * n, "exception")
            index += mark >> 1
            guard index < n else { throw reader.malformed("exception inside the column") }
            body(index, mark & 1 == 1 ? StaleMarker.bits : try reader.u64())
            index += 1
        }
    }

    // MARK: - XOR

    private static func encodeXOR(_ values: ArraySlice<Double>) -> BitWriter {
        var bits = BitWriter()
        var reference: UInt64 = 0
        var leading = 0
        var width = 0
        for value in values {
            let pattern = value.bitPattern
            if pattern == reference {
                bits.put(0, 1)
                continue
            }
            if pattern == StaleMarker.bits {
                bits.put(0b111, 3)
                continue
            }
            let xor = pattern ^ reference
            reference = pattern
            let zeros = min(xor.leadingZeroBitCount, 63)
            let trailing = xor.trailingZeroBitCount
            let needed = 64 - zeros - trailing
            let windowTrailing = 64 - leading - width
            if width > 0, zeros >= leading, trailing >= windowTrailing, width - needed <= 13 {
                bits.put(0b10, 2)
                bits.put(xor &>> UInt64(windowTrailing), width)
            } else {
                leading = zeros
                width = needed
                bits.put(UInt64(0b110 << 12 | zeros << 6 | (needed - 1)), 15)
                bits.put(xor &>> UInt64(trailing), needed)
            }
        }
        return bits
    }

    private static func decodeXOR(
        _ n: Int, _ reader: inout ByteReader, into out: inout [Double]
    ) throws(MalformedBytes) {
        try forEachXOR(n, &reader) { out.append(Double(bitPattern: $0)) }
    }

    /// Calls `body` with the bits of the first `n` values.
    @inline(__always)
    private static func forEachXOR(
        _ n: Int, _ reader: inout ByteReader, _ body: (UInt64) -> Void
    ) throws(MalformedBytes) {
        let rest = UnsafeRawBufferPointer(
            start: reader.base + reader.offset, count: reader.remaining)
        var bits = BitReader(rest)
        var reference: UInt64 = 0
        var leading = 0
        var width = 0
        for _ in 0..<n {
            let next = bits.window()
            switch min((~next).leadingZeroBitCount, 3) {
            case 0:
                try bits.take(1)
                body(reference)
                continue
            case 1: try bits.take(2)
            case 2:
                leading = Int(truncatingIfNeeded: next &>> 55 & 63)
                width = Int(truncatingIfNeeded: next &>> 49 & 63) &+ 1
                try bits.take(15)
            default:
                try bits.take(3)
                body(StaleMarker.bits)
                continue
            }
            guard width > 0, leading &+ width <= 64 else {
                throw reader.malformed("value window")
            }
            reference ^= try bits.bits(width) &<< UInt64(64 &- leading &- width)
            body(reference)
        }
        try reader.skip(bits.bytesRead)
    }
}
