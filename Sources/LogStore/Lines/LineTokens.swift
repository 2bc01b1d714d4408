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
            var i = 0
            while i < end {
                if classes[Int(line[i])] == 0 {
                    i &+= 1
                    continue
                }
                let start = i
                var firstDigit = -1
                var lastDigit = -1
                var digits = 0
                var hasOtherLetter = false
                while i < end {
                    let kind = classes[Int(line[i])]
                    if kind == 0 { break }
                    if kind == 3 {
                        if firstDigit < 0 { firstDigit = i }
                        lastDigit = i
                        digits &+= 1
                    } else if kind == 1 {
                        hasOtherLetter = true
                    }
                    i &+= 1
                }
                if digits == 0 { continue }
                let isOneNumber = digits == lastDigit &- firstDigit &+ 1
                let touchesEdge = firstDigit == start || lastDigit == i &- 1
                if hasOtherLetter, isOneNumber, touchesEdge {
                    body(start..<i, firstDigit..<(lastDigit &+ 1))
                } else {
                    body(start..<i, start..<i)
                }
            }
        }
    }
}
