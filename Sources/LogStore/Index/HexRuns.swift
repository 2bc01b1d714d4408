// SPDX-License-Identifier: Apache-2.0
// Ids in lines: long runs of hexadecimal digits.

import Base
import Storage

/// Finds the runs of hexadecimal digits of either case that are long enough to be ids.
///
/// A run reaches as far as there are such digits, whatever stands around it. A UUID, with its
/// dashes, is found too and has the key of its 32 digits.
enum HexRuns {
    /// Least digits of an id.
    static let least = 16
    /// The last digits of a UUID, which is what it is found by.
    private static let stride = hexRunLeast

    /// 0–15 for digits, 255 for others.
    private static let values: [UInt8] = (0..<256).map { byte in
        switch UInt8(byte) {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt8(byte) - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt8(byte) - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt8(byte) - UInt8(ascii: "A") + 10
        default: 255
        }
    }

    enum Kind {
        /// As long as it says.
        case run
        /// 36 bytes, of which 32 are digits.
        case uuid
    }

    /// Calls `body` with each id: where it lies and its key.
    ///
    /// Runs of less than 32 decimal digits are numbers and left out.
    ///
    /// - Complexity: O(bytes), by vector instructions where there are no ids.
    static func forEach(
        in line: UnsafeRawBufferPointer,
        _ body: (_ range: Range<Int>, _ kind: Kind, _ key: UInt64) -> Void
    ) {
        var next = findHexRun(in: line, from: 0)
        if next == line.count { return }
        values.withUnsafeBufferPointer { values in
            while next < line.count {
                let start = next
                var end = start &+ stride
                while end &+ 8 <= line.count,
                    EightDigits.areHex(
                        line.loadUnaligned(fromByteOffset: end, as: UInt64.self).littleEndian)
                { end &+= 8 }
                while end < line.count, values[Int(line[end])] != 255 { end &+= 1 }
                if end &- start >= least {
                    let hasLetter = line[start..<end].contains { $0 > UInt8(ascii: "9") }
                    if hasLetter || end &- start >= 32 {
                        body(start..<end, .run, key(line, start..<end, values))
                    }
                }
                if let uuid = uuid(endingAt: start, line, values) {
                    body((start &- 24)..<(start &+ stride), .uuid, uuid)
                }
                next = findHexRun(in: line, from: end)
            }
        }
    }

    /// The key of an id of 128 bits.
    @inline(__always)
    static func key(high: UInt64, low: UInt64) -> UInt64 { mixed(high ^ mixed(low)) }

    private static func key(
        _ line: UnsafeRawBufferPointer, _ range: Range<Int>, _ values: UnsafeBufferPointer<UInt8>
    ) -> UInt64 {
        if range.count == 32 {
            return key(
                high: number(line, range.lowerBound, 16, values),
                low: number(line, range.lowerBound + 16, 16, values))
        }
        var key = UInt64(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            let count = min(16, range.upperBound &- at)
            key = mixed(key ^ number(line, at, count, values)) &+ 1
            at &+= count
        }
        return key
    }

    @inline(__always)
    private static func number(
        _ line: UnsafeRawBufferPointer, _ start: Int, _ digits: Int,
        _ values: UnsafeBufferPointer<UInt8>
    ) -> UInt64 {
        var number: UInt64 = 0
        if digits == 16 {
            func half(_ at: Int) -> UInt64 {
                let text = line.loadUnaligned(fromByteOffset: at, as: UInt64.self).littleEndian
                return UInt64(EightDigits.bytes(text).byteSwapped)
            }
            return half(start) << 32 | half(start &+ 8)
        }
        for index in start..<(start &+ digits) {
            number = number &<< 4 | UInt64(values[Int(line[index])])
        }
        return number
    }

    /// Key of the UUID whose last twelve digits begin at `start`.
    private static func uuid(
        endingAt start: Int, _ line: UnsafeRawBufferPointer, _ values: UnsafeBufferPointer<UInt8>
    ) -> UInt64? {
        guard start >= 24, line[start - 1] == UInt8(ascii: "-") else { return nil }
        let first = start - 24
        for (offset, digits) in [(0, 8), (9, 4), (14, 4), (19, 4)] {
            guard line[first + offset + digits] == UInt8(ascii: "-") else { return nil }
            for index in 0..<digits where values[Int(line[first + offset + index])] == 255 {
                return nil
            }
        }
        let high =
            number(line, first, 8, values) << 32 | number(line, first + 9, 4, values) << 16
            | number(line, first + 14, 4, values)
        let low = number(line, first + 19, 4, values) << 48 | number(line, start, 12, values)
        return key(high: high, low: low)
    }
}
