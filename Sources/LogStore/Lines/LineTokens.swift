// SPDX-License-Identifier: Apache-2.0
// What varies in a line, told by its look.

import Base

/// Splits a line into text that its program wrote once and values that change from line to line.
///
/// A value is a run of ASCII letters and digits with a digit in it. Of a number with a unit
/// (`35ms`) or a name with a number (`worker3`) only the digits are the value, unless all letters
/// might be hexadecimal digits. Which parts count as values decides how small a block becomes,
/// never what is read back.
enum LineTokens {
    /// 0 other, 1 letter g–z and G–Z, 2 letter a–f and A–F, 3 digit.
    private static let classes: [UInt8] = (0..<256).map { byte in
        switch UInt8(byte) {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): 3
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): 2
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): 1
        default: 0
        }
    }

    /// Calls `body` with each run of letters and digits that has a digit, and the part of it that
    /// is the value.
    ///
    /// - Complexity: O(bytes), without allocation.
    @inline(__always)
    static func forEachValue(
        _ line: UnsafeRawBufferPointer, _ body: (_ run: Range<Int>, _ value: Range<Int>) -> Void
    ) {
        classes.withUnsafeBufferPointer { classes in
            let end = line.count
            var done = 0
            while let digit = nextDigit(line, from: done) {
                var start = digit
                var hasOtherLetter = false
                while start > done {
                    let kind = classes[Int(line[start &- 1])]
                    if kind == 0 { break }
                    if kind == 1 { hasOtherLetter = true }
                    start &-= 1
                }
                var i = digit
                var lastDigit = digit
                var digits = 0
                while i < end {
                    let kind = classes[Int(line[i])]
                    if kind == 0 { break }
                    if kind == 3 {
                        lastDigit = i
                        digits &+= 1
                    } else if kind == 1 {
                        hasOtherLetter = true
                    }
                    i &+= 1
                }
                done = i
                let isOneNumber = digits == lastDigit &- digit &+ 1
                if hasOtherLetter, isOneNumber, digit == start || lastDigit == i &- 1 {
                    body(start..<i, digit..<(lastDigit &+ 1))
                } else {
                    body(start..<i, start..<i)
                }
            }
        }
    }

    /// Offset of the first digit at or after `start`, eight bytes at a time.
    @inline(__always)
    private static func nextDigit(_ line: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var i = start
        while i &+ 8 <= line.count {
            // Digits become 0…9; of bytes below ten the first is found exactly.
            let folded =
                line.loadUnaligned(fromByteOffset: i, as: UInt64.self).littleEndian
                ^ 0x3030_3030_3030_3030
            let found = (folded &- 0x0a0a_0a0a_0a0a_0a0a) & ~folded & 0x8080_8080_8080_8080
            if found != 0 { return i &+ found.trailingZeroBitCount &>> 3 }
            i &+= 8
        }
        while i < line.count {
            if line[i] &- UInt8(ascii: "0") < 10 { return i }
            i &+= 1
        }
        return nil
    }
}
