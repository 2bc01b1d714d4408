// SPDX-License-Identifier: Apache-2.0
// Sizes such as `20MB` and `1.5KiB`.

import Base

/// Sizes in bytes as text: decimal units count in thousands, `i` units in 1024s, up to peta.
enum ByteSize {
    /// Powers by lower-case prefix letter.
    private static let prefixes: [UInt8] = Array("kmgtp".utf8)

    /// A size as a query spells it: the unit's case matters (`B`, `kB`, `KB`, `MB`, `MiB`).
    static func literal(_ text: String) -> Int64? {
        let digits = text.utf8.prefix { isASCIIDigit($0) || $0 == UInt8(ascii: ".") }
        let unit = Array(text.utf8.dropFirst(digits.count))
        guard unit.last == UInt8(ascii: "B"), unit.count <= 3 else { return nil }
        for byte in unit.dropLast() where byte != UInt8(ascii: "k") && byte != UInt8(ascii: "i") {
            guard (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) else { return nil }
        }
        return parse(text)
    }

    /// A size as data spells it: any case, blanks between number and unit, no unit = bytes.
    static func parse(_ text: String) -> Int64? {
        let utf8 = Array(text.utf8)
        let digits = utf8.prefix {
            isASCIIDigit($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ",")
        }
        var unit = utf8[digits.count...].drop { $0 == 32 }.map { $0 | 0x20 }
        let number = String(decoding: digits.filter { $0 != UInt8(ascii: ",") }, as: UTF8.self)
        guard let value = parseFloat(number), value.isFinite else { return nil }
        var scale = 1.0
        if !unit.isEmpty {
            if unit.last == UInt8(ascii: "b") { unit.removeLast() }
            var base = 1000.0
            if unit.last == UInt8(ascii: "i") {
                base = 1024
                unit.removeLast()
                if unit.isEmpty { return nil }
            }
            if let letter = unit.first {
                guard unit.count == 1, let power = prefixes.firstIndex(of: letter) else {
                    return nil
                }
                for _ in 0...power { scale *= base }
            }
        }
        return Int64(exactly: (value * scale).rounded(.towardZero))
    }
}
