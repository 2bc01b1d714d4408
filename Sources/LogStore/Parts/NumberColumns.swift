// SPDX-License-Identifier: Apache-2.0
// Times and line lengths of a block.

import Base
import Telemetry

/// Ascending times of a block; see `LogFormat`.
enum TimeColumn {
    /// - Parameter nanos: ascending, at least one.
    static func encode(_ nanos: [Int64], into out: inout ByteWriter) {
        let n = nanos.count
        var deltas = [UInt64](repeating: 0, count: max(0, n - 1))
        var unit: UInt64 = 0
        for i in 1..<max(n, 1) {
            let delta = UInt64(bitPattern: nanos[i] &- nanos[i - 1])
            deltas[i - 1] = delta
            // Sources that count in milliseconds or seconds give deltas with a large divisor.
            if unit != 1 { unit = greatestCommonDivisor(unit, delta) }
        }
        if n <= 2 || deltas.allSatisfy({ $0 == deltas[0] }) {
            out.u8(LogFormat.Time.constantStep)
            out.zigzag(nanos.first ?? 0)
            out.varint(deltas.first ?? 0)
            return
        }
        if unit > 1 {
            for i in deltas.indices { deltas[i] /= unit }
        }
        var deltaCost = 0, changeCost = 0
        var previous = deltas[0]
        for delta in deltas {
            deltaCost &+= ByteWriter.varintCount(delta)
            let change = Int64(bitPattern: delta &- previous)
            changeCost &+= ByteWriter.varintCount(ByteWriter.zigzag(change))
            previous = delta
        }
        if min(changeCost, deltaCost) >= LogFormat.Time.planesFrom * deltas.count {
            writePlanes(nanos[0], unit, deltas, &out)
            return
        }
        out.u8(changeCost < deltaCost ? LogFormat.Time.deltaOfDelta : LogFormat.Time.delta)
        out.zigzag(nanos[0])
        out.varint(unit)
        if changeCost < deltaCost {
            previous = deltas[0]
            out.varint(previous)
            for delta in deltas.dropFirst() {
                out.zigzag(Int64(bitPattern: delta &- previous))
                previous = delta
            }
        } else {
            for delta in deltas { out.varint(delta) }
        }
    }

    /// Distances that take several bytes each are mostly noise but for their highest byte: side by side
    /// the highest bytes compress, and the others are not spoiled by the marks of varints.
    private static func writePlanes(
        _ first: Int64, _ unit: UInt64, _ scaled: [UInt64], _ out: inout ByteWriter
    ) {
        let all = scaled.reduce(0) { $0 | $1 }
        let width = max(1, (71 - all.leadingZeroBitCount) / 8)
        out.u8(LogFormat.Time.planes)
        out.zigzag(first)
        out.varint(unit)
        out.u8(UInt8(width))
        let start = out.count
        out.bytes.append(contentsOf: repeatElement(0, count: width * scaled.count))
        out.bytes.withUnsafeMutableBytes { bytes in
            for plane in 0..<width {
                let shift = UInt64(8 * plane)
                let offset = start + plane * scaled.count
                for (index, delta) in scaled.enumerated() {
                    bytes[offset &+ index] = UInt8(truncatingIfNeeded: delta &>> shift)
                }
            }
        }
    }

    /// - Throws: also when the times do not ascend, on which merging relies.
    static func decode(_ reader: inout ByteReader, rows n: Int) throws(MalformedBytes) -> [Int64] {
        let kind = try reader.u8()
        var nanos = [Int64](repeating: 0, count: n)
        guard n > 0 else { return nanos }
        var current = try reader.zigzag()
        nanos[0] = current
        switch kind {
        case LogFormat.Time.constantStep:
            let step = Int64(bitPattern: try reader.varint())
            for i in 1..<n {
                current = current &+ step
                nanos[i] = current
            }
        case LogFormat.Time.delta:
            let unit = try reader.varint()
            for i in 1..<n {
                current = current &+ Int64(bitPattern: try reader.varint() &* unit)
                nanos[i] = current
            }
        case LogFormat.Time.deltaOfDelta:
            let unit = try reader.varint()
            guard n > 1 else { break }
            var delta = try reader.varint()
            current = current &+ Int64(bitPattern: delta &* unit)
            nanos[1] = current
            for i in 2..<n {
                delta = delta &+ UInt64(bitPattern: try reader.zigzag())
                current = current &+ Int64(bitPattern: delta &* unit)
                nanos[i] = current
            }
        case LogFormat.Time.planes:
            let unit = try reader.varint()
            let width = Int(try reader.u8())
            guard (1...8).contains(width) else { throw reader.malformed("bytes of a distance") }
            // A block has at most 2^20 rows.
            let planes = try reader.bytes(width * (n - 1))
            for i in 1..<n {
                var delta: UInt64 = 0
                for plane in 0..<width {
                    delta |= UInt64(planes[plane &* (n &- 1) &+ i &- 1]) &<< UInt64(8 &* plane)
                }
                current = current &+ Int64(bitPattern: delta &* unit)
                nanos[i] = current
            }
        default: throw reader.malformed("kind of time column")
        }
        for i in 1..<n where nanos[i] < nanos[i - 1] { throw reader.malformed("ascending times") }
        return nanos
    }

    private static func greatestCommonDivisor(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var a = a, b = b
        while b != 0 { (a, b) = (b, a % b) }
        return a
    }

}

/// Lengths of the lines of a block.
enum LengthColumn {
    /// What a block says of its lines' lengths.
    enum Lengths {
        /// Where each line lies in bytes that hold them back to back.
        case slices([ByteSlice])
        /// Lines are templates and values, which come to this many bytes.
        case templated(total: Int)
    }

    static func encodeTemplated(total: Int, into out: inout ByteWriter) {
        out.u8(LogFormat.Length.templated)
        out.varint(total)
    }

    static func encode(_ lengths: [UInt32], into out: inout ByteWriter) {
        if let first = lengths.first, lengths.allSatisfy({ $0 == first }) {
            out.u8(LogFormat.Length.constant)
            out.varint(UInt64(first))
            return
        }
        out.u8(LogFormat.Length.each)
        for length in lengths { out.varint(UInt64(length)) }
    }

    /// - Parameter total: bytes of the block's column of lines.
    /// - Throws: when the lengths of lines that lie there as they are do not add up to it.
    static func decode(
        _ reader: inout ByteReader, rows n: Int, total: Int
    ) throws(MalformedBytes) -> Lengths {
        let kind = try reader.u8()
        if kind == LogFormat.Length.templated {
            return .templated(
                total: try reader.length(limit: LogFormat.maxFrameCount, "bytes of lines"))
        }
        var slices = [ByteSlice](repeating: .empty, count: n)
        var offset = 0
        switch kind {
        case LogFormat.Length.constant:
            let length = try reader.length(limit: total, "line length")
            guard length == 0 || n <= total / length else { throw reader.malformed("line length") }
            for i in 0..<n {
                slices[i] = ByteSlice(offset: offset, count: length)
                offset += length
            }
        case LogFormat.Length.each:
            for i in 0..<n {
                let length = try reader.length(limit: total - offset, "line length")
                slices[i] = ByteSlice(offset: offset, count: length)
                offset += length
            }
        default: throw reader.malformed("kind of length column")
        }
        guard offset == total else { throw reader.malformed("lengths that add up to \(total)") }
        return .slices(slices)
    }
}
