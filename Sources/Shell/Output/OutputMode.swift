// SPDX-License-Identifier: Apache-2.0
// Forms in which results are printed.

/// `-o`: how rows look.
package enum OutputMode: String, Sendable, CaseIterable {
    /// Aligned columns.
    case table
    /// Aligned columns, one per label.
    case wide
    /// The server's answer as it came.
    case json
    /// One object a row.
    case jsonl
    case csv, tsv, markdown
    /// Values only: lines of logs, numbers of metrics.
    case raw
}

/// Where output goes and what it can show.
package struct TerminalTraits: Sendable {
    package var isTerminal: Bool
    package var columns: Int
    package var colour: Bool
    package var unicode: Bool

    package init(isTerminal: Bool, columns: Int, colour: Bool, unicode: Bool) {
        self.isTerminal = isTerminal
        self.columns = columns
        self.colour = colour
        self.unicode = unicode
    }

    /// A pipe or file: no colour, no truncation.
    package static let plain = TerminalTraits(
        isTerminal: false, columns: .max, colour: false, unicode: true)
}

/// Text from data with everything a terminal could obey made visible: control characters become
/// `\xNN`, tabs and newlines their escapes. Bidirectional overrides are shown as `\u{…}`.
package func harmless(_ text: String) -> String {
    var clean = true
    for scalar in text.unicodeScalars where isDangerous(scalar) {
        clean = false
        break
    }
    if clean { return text }
    var out = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\n": out += "\\n"
        case "\t": out += "\\t"
        case "\r": out += "\\r"
        case _ where isDangerous(scalar):
            let hex = String(scalar.value, radix: 16)
            out +=
                scalar.value < 256 ? "\\x" + (hex.count < 2 ? "0" : "") + hex : "\\u{" + hex + "}"
        default: out.unicodeScalars.append(scalar)
        }
    }
    return out
}

private func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x20, 0x7f..<0xa0, 0x200b...0x200f, 0x202a...0x202e, 0x2066...0x2069, 0xfeff: true
    default: false
    }
}

/// Columns a text takes on a terminal: wide East Asian characters and emoji take two, combining
/// marks none.
package func displayWidth(_ text: String) -> Int {
    var width = 0
    for scalar in text.unicodeScalars {
        switch scalar.value {
        case 0..<0x20, 0x7f..<0xa0: continue
        case 0x300...0x36f, 0x1ab0...0x1aff, 0x20d0...0x20ff, 0xfe00...0xfe0f, 0x200d: continue
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff,
            0xa000...0xa4cf, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60,
            0xffe0...0xffe6, 0x1f300...0x1f64f, 0x1f900...0x1f9ff, 0x20000...0x3fffd:
            width += 2
        default: width += 1
        }
    }
    return width
}
