// SPDX-License-Identifier: Apache-2.0
// Integers as small residuals against the best of four predictors.

import Base

/// Coding of a non-empty column of 64-bit integers: timestamps, and values scaled to integers.
///
///     u8 predictor | zigzag first | varint divisor | [zigzag slope]
///     bits: groups of 32 residuals, each 7 bits of width and 32 × width bits (zigzag)
///
/// Predictors: 0 the first value, 1 the value before, 2 a straight line through the last two,
/// 3 the line `first + i × slope`, for a grid with jitter. All differences are multiples of
/// `divisor`. Arithmetic wraps, so that every column survives.
enum IntegerColumn {
    private static let groupCount = 32

    static func encode(_ values: [Int64], into writer: inout ByteWriter) {
        precondition(!values.isEmpty, "a column has values")
        let first = values[0]
        let divisor = commonDivisor(values)
        var best: (bits: Int, predictor: UInt8, slope: Int64, residuals: [UInt64]) = (
            .max, 0, 0, []
        )
        // The offsets from the first, divided: what all predictors work on.
        let offsets = values.map { divisor > 1 ? ($0 &- first) / divisor : $0 &- first }
        let last = offsets[offsets.count - 1]
        let slope = last / Int64(max(1, offsets.count - 1))
        for predictor in UInt8(0)...3 {
            var residuals = [UInt64](repeating: 0, count: offsets.count - 1)
            var previous: Int64 = 0
            var step: Int64 = 0
            for i in residuals.indices {
                let value = offsets[i + 1]
                let residual: Int64
                switch predictor {
                case 0: residual = value
                case 1: residual = value &- previous
                case 2: residual = value &- previous &- step
                default: residual = value &- slope &* Int64(i + 1)
                }
                step = value &- previous
                previous = value
                residuals[i] = zigzag(residual)
            }
            let bits = cost(residuals)
            if bits < best.bits { best = (bits, predictor, slope, residuals) }
        }
        writer.u8(best.predictor)
        writer.zigzag(first)
        writer.varint(UInt64(divisor))
        if best.predictor == 3 { writer.zigzag(best.slope) }
        pack(best.residuals, into: &writer)
    }

    /// Appends `n` decoded values, `n` ≥ 1.
    static func decode(
        _ n: Int, _ reader: inout ByteReader, into out: inout [Int64]
    ) throws(MalformedBytes) {
        let start = out.count
        out.append(contentsOf: repeatElement(0, count: n))
        let result = out.withUnsafeMutableBufferPointer { out -> Result<Void, MalformedBytes> in
            do throws(MalformedBytes) {
                try decode(&reader, into: UnsafeMutableBufferPointer(rebasing: out[start...]))
                return .success(())
            } catch { return .failure(error) }
        }
        try result.get()
    }

    /// Decodes as many values as there is room for, at least one.
    static func decode(
        _ reader: inout ByteReader, into out: UnsafeMutableBufferPointer<Int64>
    ) throws(MalformedBytes) {
        let predictor = try reader.u8()
        guard predictor <= 3 else { throw reader.malformed("predictor") }
        let first = try reader.zigzag()
        let divisor = Int64(bitPattern: try reader.varint())
        let slope = predictor == 3 ? try reader.zigzag() : 0
        let rest = UnsafeRawBufferPointer(
            start: reader.base + reader.offset, count: reader.remaining)
        var bits = BitReader(rest)
        guard let values = out.baseAddress else { return }
        values[0] = first
        // What the prediction of the next value needs, in units of the divisor.
        var previous: Int64 = 0, step: Int64 = 0
        var next = 1
        while next < out.count {
            let width = Int(try bits.bits(7))
            guard width <= 64 else { throw reader.malformed("width of at most 64 bits") }
            let count = min(groupCount, out.count &- next)
            let group = values + next
            try residuals(count, width, &bits, into: group)
            switch predictor {
            case 0:
                for i in 0..<count { group[i] = first &+ group[i] &* divisor }
            case 1:
                for i in 0..<count {
                    previous &+= group[i]
                    group[i] = first &+ previous &* divisor
                }
            case 2:
                for i in 0..<count {
                    step &+= group[i]
                    previous &+= step
                    group[i] = first &+ previous &* divisor
                }
            default:
                for i in 0..<count {
                    let line = slope &* Int64(next &+ i)
                    group[i] = first &+ (line &+ group[i]) &* divisor
                }
            }
            next &+= count
        }
        try reader.skip(bits.bytesRead)
    }

    /// Reads the residuals of a group.
    @inline(__always)
    private static func residuals(
        _ count: Int, _ width: Int, _ bits: inout BitReader,
        into group: UnsafeMutablePointer<Int64>
    ) throws(MalformedBytes) {
        if width == 0 {
            group.update(repeating: 0, count: count)
        } else if width <= BitReader.maxShort, bits.hasWords(count &* width) {
            // The end is far enough away for all of them to be read without a look at it.
            for i in 0..<count { group[i] = signed(zigzag: bits.short(width)) }
        } else {
            for i in 0..<count { group[i] = signed(zigzag: try bits.bits(width)) }
        }
    }

    /// Value `position` of a column, without the memory of the others.
    static func value(
        at position: Int, _ reader: inout ByteReader
    ) throws(MalformedBytes) -> Int64 {
        let predictor = try reader.u8()
        guard predictor <= 3 else { throw reader.malformed("predictor") }
        let first = try reader.zigzag()
        let divisor = Int64(bitPattern: try reader.varint())
        let slope = predictor == 3 ? try reader.zigzag() : 0
        if position == 0 { return first }
        var bits = BitReader(
            UnsafeRawBufferPointer(start: reader.base + reader.offset, count: reader.remaining))
        let isCumulative = predictor == 1 || predictor == 2
        // The residual and, of predictor 2, the step that `position` ends with.
        var value: Int64 = 0
        var step: Int64 = 0
        var left = position
        while left > 0 {
            let width = Int(try bits.bits(7))
            guard width <= 64 else { throw reader.malformed("width of at most 64 bits") }
            let count = min(left, groupCount)
            left &-= count
            if !isCumulative {
                // Only the last residual counts.
                if left == 0, width > 0 {
                    try bits.take((count &- 1) &* width)
                    value = signed(zigzag: try bits.bits(width))
                } else {
                    try bits.take(count &* width)
                }
            } else if width == 0 {
                value &+= step &* Int64(predictor == 2 ? count : 0)
            } else if predictor == 1 {
                for _ in 0..<count { value &+= signed(zigzag: try bits.bits(width)) }
            } else {
                for _ in 0..<count {
                    step &+= signed(zigzag: try bits.bits(width))
                    value &+= step
                }
            }
        }
        if predictor == 3 { value &+= slope &* Int64(position) }
        return first &+ value &* divisor
    }

    @inline(__always)
    private static func signed(zigzag raw: UInt64) -> Int64 {
        Int64(bitPattern: raw &>> 1) ^ -Int64(bitPattern: raw & 1)
    }

    private static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    }

    private static func widths(_ residuals: [UInt64], _ body: (Range<Int>, Int) -> Void) {
        var start = 0
        while start < residuals.count {
            let end = min(start + groupCount, residuals.count)
            var all: UInt64 = 0
            for i in start..<end { all |= residuals[i] }
            body(start..<end, 64 - all.leadingZeroBitCount)
            start = end
        }
    }

    private static func cost(_ residuals: [UInt64]) -> Int {
        var bits = 0
        widths(residuals) { bits += 7 + $0.count * $1 }
        return bits
    }

    private static func pack(_ residuals: [UInt64], into writer: inout ByteWriter) {
        var bits = BitWriter()
        widths(residuals) { range, width in
            bits.put(UInt64(width), 7)
            if width > 0 { for i in range { bits.put(residuals[i], width) } }
        }
        bits.appendBytes(to: &writer.bytes)
    }

    /// Greatest common divisor of all differences from the first value; 1 where one overflows.
    private static func commonDivisor(_ values: [Int64]) -> Int64 {
        var divisor: UInt64 = 0
        for value in values.dropFirst() {
            let (difference, overflow) = value.subtractingReportingOverflow(values[0])
            if overflow { return 1 }
            var a = difference.magnitude
            while a != 0 { (divisor, a) = (a, divisor % a) }
            if divisor == 1 { return 1 }
        }
        return divisor == 0 ? 1 : Int64(exactly: divisor) ?? 1
    }
}
