// SPDX-License-Identifier: Apache-2.0
// Scans over log lines that are worth vector instructions.

import CShims

/// Offset at or after `start` where the name of a log level may begin, by its first three letters in
/// any case; the line's count when nowhere. About 5 GB/s where AVX2 is present.
package func findLevelName(in line: UnsafeRawBufferPointer, from start: Int) -> Int {
    guard let base = line.baseAddress, start < line.count else { return line.count }
    return tern_find_level(base.assumingMemoryBound(to: UInt8.self), line.count, start)
}

/// Offset at or after `start` of a word in lower case or, whole, in upper case; the line's count when
/// nowhere. One pass for both.
///
/// - Parameter lower: lower-case ASCII letters, one at least.
package func findWord(
    _ lower: StaticString, in line: UnsafeRawBufferPointer, from start: Int
) -> Int {
    guard let base = line.baseAddress, start < line.count else { return line.count }
    return tern_find_word(
        base.assumingMemoryBound(to: UInt8.self), line.count, lower.utf8Start,
        lower.utf8CodeUnitCount, start)
}

/// Room for taking the values out of lines: what varies in them, told by its look.
///
/// A value is a run of ASCII letters and digits with a digit in it. Of a number with a unit (`35ms`)
/// or a name with a number (`worker3`) only the digits are the value, unless all letters might be
/// hexadecimal digits. A value is also what a field of logfmt or JSON holds, `level=info` or
/// `"msg": "request finished"`, when there is no digit and, in quotes, no backslash in it.
package final class LineSplitter {
    private let most: Int
    private let slices: UnsafeMutablePointer<tern_slice>
    private let text: UnsafeMutablePointer<UInt8>
    private let chunks: UnsafeMutablePointer<UInt64>

    /// What may stand in a value.
    package enum Alphabet {
        /// ASCII letters and digits.
        case alphanumeric
        /// All but what ends a field: blanks, quotes, `, ; & ) ] } > |` and line ends.
        case field
        /// All but `"` and backslashes.
        case quoted

        /// By the text between the value before, or the start of the line, and the value.
        package init(before piece: UnsafeRawBufferPointer) {
            let n = piece.count
            guard n > 0 else {
                self = .alphanumeric
                return
            }
            if piece[n - 1] == UInt8(ascii: "=") {
                self = .field
                return
            }
            guard piece[n - 1] == UInt8(ascii: "\""), n > 1 else {
                self = .alphanumeric
                return
            }
            let sign = piece[n - 2] == UInt8(ascii: " ") && n > 2 ? piece[n - 3] : piece[n - 2]
            let isField = sign == UInt8(ascii: ":") || sign == UInt8(ascii: "=")
            self = isField ? .quoted : .alphanumeric
        }

        package func contains(_ byte: UInt8) -> Bool {
            switch self {
            case .alphanumeric:
                byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
            case .field: !tern_ends_field(byte)
            case .quoted: byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
            }
        }
    }

    /// - Parameters:
    ///   - longest: bytes of the longest line.
    ///   - most: values that a line may have.
    package init(longest: Int, most: Int) {
        self.most = most
        slices = .allocate(capacity: most)
        text = .allocate(capacity: longest + most + 16)
        chunks = .allocate(
            capacity: (longest / 64 + 1) * TERN_CHUNK_SIZE
                / MemoryLayout<UInt64>.stride)
    }

    deinit {
        slices.deallocate()
        text.deallocate()
        chunks.deallocate()
    }

    /// Takes one line apart.
    ///
    /// - Parameters:
    ///   - range: of the line in `lines`; no longer than the longest.
    ///   - body: gets the line with a zero byte for each value, and the values as pairs of 32-bit
    ///     offset in `lines` and count; valid only meanwhile.
    /// - Returns: nil when the line has more values than it may have.
    /// - Complexity: O(bytes), without allocation.
    @inline(__always)
    package func split<R>(
        _ range: Range<Int>, of lines: UnsafeRawBufferPointer,
        _ body: (_ text: UnsafeRawBufferPointer, _ values: UnsafeRawBufferPointer) -> R
    ) -> R? {
        var textCount = 0
        let count = split(range, of: lines, into: slices, &textCount)
        if count < 0 { return nil }
        return body(
            UnsafeRawBufferPointer(start: text, count: textCount),
            UnsafeRawBufferPointer(start: slices, count: count * MemoryLayout<tern_slice>.stride))
    }

    /// Takes one line apart, as the other `split` does.
    ///
    /// - Parameter room: for the values, as many as a line may have; pairs of 32-bit numbers.
    /// - Returns: the line with a zero byte for each value, valid until the next line, and the number
    ///   of values; nil when there are too many.
    @inline(__always)
    package func split(
        _ range: Range<Int>, of lines: UnsafeRawBufferPointer, into room: UnsafeMutableRawPointer
    ) -> (text: UnsafeRawBufferPointer, count: Int)? {
        var textCount = 0
        let count = split(
            range, of: lines, into: room.assumingMemoryBound(to: tern_slice.self), &textCount)
        return count < 0
            ? nil : (UnsafeRawBufferPointer(start: text, count: textCount), count)
    }

    @inline(__always)
    private func split(
        _ range: Range<Int>, of lines: UnsafeRawBufferPointer,
        into room: UnsafeMutablePointer<tern_slice>, _ textCount: inout Int
    ) -> Int {
        guard let base = UnsafeRawBufferPointer(rebasing: lines[range]).baseAddress else {
            return 0
        }
        return tern_take_values(
            base.assumingMemoryBound(to: UInt8.self), range.count,
            lines.count - range.lowerBound, UInt32(range.lowerBound), chunks, text, &textCount,
            room, most)
    }
}

/// Offset at or after `start` of at least twelve hexadecimal digits of either case in a row, the first
/// of their run unless `start` lies inside it; the text's count when nowhere.
package func findHexRun(in text: UnsafeRawBufferPointer, from start: Int) -> Int {
    guard let base = text.baseAddress, start < text.count else { return text.count }
    return tern_find_hex_run(base.assumingMemoryBound(to: UInt8.self), text.count, start)
}

/// Digits that `findHexRun` looks for.
package let hexRunLeast = TERN_HEX_RUN
