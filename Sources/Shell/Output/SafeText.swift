// SPDX-License-Identifier: Apache-2.0
// The one place where text from data is made harmless for a terminal.

/// Text from data with everything a terminal could obey, and everything that would reorder or hide
/// what follows, made visible: tab, newline and carriage return become their escapes, other control
/// characters (C0, DEL, C1) `\xNN`, format characters (bidirectional overrides and isolates,
/// zero-width characters, tags, byte order marks) and separators of lines and paragraphs
/// `\u{…}`. Bytes that are not UTF-8 came through the decoder as U+FFFD.
///
/// A run of more than four combining marks is escaped from the fifth on: such a stack would be
/// drawn over the lines above.
///
/// - Parameter ascii: for locales without UTF-8: escapes everything that is not ASCII.
/// - Complexity: linear; text of printable ASCII alone is returned as it is.
package func harmless(_ text: String, ascii: Bool = false) -> String {
    if text.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) { return text }
    var out = ""
    out.reserveCapacity(text.utf8.count)
    var marks = 0
    for scalar in text.unicodeScalars {
        marks = isMark(scalar) ? marks + 1 : 0
        switch scalar {
        case "\n": out += "\\n"
        case "\t": out += "\\t"
        case "\r": out += "\\r"
        case _ where scalar.value >= 0x20 && scalar.value < 0x7f:
            out.unicodeScalars.append(scalar)
        case _ where ascii || marks > 4 || isDangerous(scalar):
            out += scalarEscape(scalar)
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out
}

/// JSON text for a terminal: what `harmless` would change becomes `\uNNNN`, so that it is the same
/// JSON. Newlines between values stay.
package func harmlessJSON(_ json: String, ascii: Bool = false) -> String {
    if json.utf8.allSatisfy({ (0x20..<0x7f).contains($0) || $0 == 0x0a }) { return json }
    var out = ""
    out.reserveCapacity(json.utf8.count)
    for scalar in json.unicodeScalars {
        if scalar == "\n" || (0x20..<0x7f).contains(scalar.value)
            || !(ascii || isDangerous(scalar))
        {
            out.unicodeScalars.append(scalar)
        } else {
            for unit in String(Character(scalar)).utf16 {
                let hex = String(unit, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        }
    }
    return out
}

private func scalarEscape(_ scalar: Unicode.Scalar) -> String {
    let hex = String(scalar.value, radix: 16)
    return scalar.value < 256 ? "\\x" + (hex.count < 2 ? "0" : "") + hex : "\\u{" + hex + "}"
}

private func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x20..<0x7f: return false
    case 0..<0x20, 0x7f..<0xa0: return true
    case 0xa0..<0x300: return scalar.value == 0xad
    default: break
    }
    return switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: true
    default: false
    }
}

/// Marks that are drawn over the character before them.
private func isMark(_ scalar: Unicode.Scalar) -> Bool {
    guard scalar.value >= 0x300 else { return false }
    return switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark: true
    default: false
    }
}

/// Columns a text takes on a terminal: wide East Asian characters and emoji take two, combining
/// marks and what `harmless` takes out none.
package func displayWidth(_ text: String) -> Int {
    if text.utf8.allSatisfy({ (0x20..<0x7f).contains($0) }) { return text.utf8.count }
    return text.unicodeScalars.reduce(0) { $0 + displayWidth(of: $1) }
}

func displayWidth(of scalar: Unicode.Scalar) -> Int {
    if (0x20..<0x7f).contains(scalar.value) { return 1 }
    if isMark(scalar) || isDangerous(scalar) { return 0 }
    // Hangul vowels and finals join the initial before them.
    if (0x1160...0x11ff).contains(scalar.value) { return 0 }
    return isWide(scalar.value) ? 2 : 1
}

/// First and last of the ranges whose East Asian width is W or F. Source: Unicode's
/// EastAsianWidth.txt, with unassigned code points between assigned ones taken in.
private let wideRanges: [(first: UInt32, last: UInt32)] = [
    (0x1100, 0x115f), (0x231a, 0x231b), (0x2329, 0x232a), (0x23e9, 0x23ec), (0x23f0, 0x23f0),
    (0x23f3, 0x23f3), (0x25fd, 0x25fe), (0x2614, 0x2615), (0x2648, 0x2653), (0x267f, 0x267f),
    (0x2693, 0x2693), (0x26a1, 0x26a1), (0x26aa, 0x26ab), (0x26bd, 0x26be), (0x26c4, 0x26c5),
    (0x26ce, 0x26ce), (0x26d4, 0x26d4), (0x26ea, 0x26ea), (0x26f2, 0x26f3), (0x26f5, 0x26f5),
    (0x26fa, 0x26fa), (0x26fd, 0x26fd), (0x2705, 0x2705), (0x270a, 0x270b), (0x2728, 0x2728),
    (0x274c, 0x274c), (0x274e, 0x274e), (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797),
    (0x27b0, 0x27b0), (0x27bf, 0x27bf), (0x2b1b, 0x2b1c), (0x2b50, 0x2b50), (0x2b55, 0x2b55),
    (0x2e80, 0x303e), (0x3041, 0x33ff), (0x3400, 0x4dbf), (0x4e00, 0xa4cf), (0xa960, 0xa97c),
    (0xac00, 0xd7a3), (0xf900, 0xfaff), (0xfe10, 0xfe19), (0xfe30, 0xfe6f), (0xff00, 0xff60),
    (0xffe0, 0xffe6), (0x16fe0, 0x18cff), (0x18d00, 0x18d08), (0x1aff0, 0x1b2ff),
    (0x1f004, 0x1f004), (0x1f0cf, 0x1f0cf), (0x1f18e, 0x1f18e), (0x1f191, 0x1f19a),
    (0x1f200, 0x1f320), (0x1f32d, 0x1f335), (0x1f337, 0x1f37c), (0x1f37e, 0x1f393),
    (0x1f3a0, 0x1f3ca), (0x1f3cf, 0x1f3d3), (0x1f3e0, 0x1f3f0), (0x1f3f4, 0x1f3f4),
    (0x1f3f8, 0x1f43e), (0x1f440, 0x1f440), (0x1f442, 0x1f4fc), (0x1f4ff, 0x1f53d),
    (0x1f54b, 0x1f54e), (0x1f550, 0x1f567), (0x1f57a, 0x1f57a), (0x1f595, 0x1f596),
    (0x1f5a4, 0x1f5a4), (0x1f5fb, 0x1f64f), (0x1f680, 0x1f6c5), (0x1f6cc, 0x1f6cc),
    (0x1f6d0, 0x1f6d2), (0x1f6d5, 0x1f6d7), (0x1f6dc, 0x1f6df), (0x1f6eb, 0x1f6ec),
    (0x1f6f4, 0x1f6fc), (0x1f7e0, 0x1f7eb), (0x1f7f0, 0x1f7f0), (0x1f90c, 0x1f93a),
    (0x1f93c, 0x1f945), (0x1f947, 0x1f9ff), (0x1fa70, 0x1faff), (0x20000, 0x3fffd),
]

private func isWide(_ value: UInt32) -> Bool {
    if value < 0x1100 { return false }
    var low = 0
    var high = wideRanges.count
    while low < high {
        let middle = (low + high) / 2
        if value > wideRanges[middle].last { low = middle + 1 } else { high = middle }
    }
    return low < wideRanges.count && value >= wideRanges[low].first
}

/// As much of a harmless text as fits, with a mark at the end where something is missing.
func clipped(_ text: String, _ width: Int, unicode: Bool) -> String {
    guard displayWidth(text) > width else { return text }
    guard width > 0 else { return "" }
    return prefix(of: text, columns: width - 1) + (unicode ? "…" : "~")
}

/// The longest beginning of a harmless text that takes at most so many columns.
func prefix(of text: String, columns: Int) -> String {
    var out = ""
    var used = 0
    for character in text {
        let next = displayWidth(String(character))
        if used + next > columns { break }
        out.append(character)
        used += next
    }
    return out
}

/// The text with blanks after it (or before it), to so many columns.
func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let gap = String(repeating: " ", count: max(0, width - displayWidth(text)))
    return right ? gap + text : text + gap
}
