// SPDX-License-Identifier: Apache-2.0
// Lines with little and with nothing in common, and needles that nearly occur in them.

import Telemetry

@testable import LogStore

/// Makes lines of a few templates with values of every look, lines of no template, and needles.
struct LineMaker {
    private enum Segment {
        case text(String)
        case value(Int)
    }
    var numbers: SeededNumbers
    private var templates: [[Segment]] = []
    /// Ids that come again, of 16, 32 and 64 digits.
    private var ids: [String] = []
    private var lines: [[UInt8]] = []
    private var counter = 0

    private static let texts = [
        "order", "user=", "checkout failed", "GET /api/v1/items", " took ", "ms", " status=",
        " trace_id=", "µs", " größe ", " dead", "face ", "\"", ": ", "-", " ", "worker", "a", "f",
        "[", "]", "\n", "é", " decade ", "level=error", "level=info", "DEADBEEF ", "x",
    ]

    init(seed: UInt64) {
        numbers = SeededNumbers(seed)
        ids = (0..<12).map { index in hex([16, 32, 64, 32, 24, 33][index % 6]) }
        templates = (0..<(1 + numbers.below(6))).map { _ in
            (0..<(1 + numbers.below(9))).map { _ in
                numbers.chance(55)
                    ? .text(LineMaker.texts[numbers.below(LineMaker.texts.count)])
                    : .value(numbers.below(16))
            }
        }
    }

    private mutating func hex(_ digits: Int) -> String {
        String((0..<digits).map { _ in Array("0123456789abcdef")[numbers.below(16)] })
    }

    private mutating func value(_ kind: Int) -> String {
        switch kind {
        case 0: return "\(numbers.below(10))"
        case 1: return "\(numbers.below(100_000))"
        case 2:
            counter += numbers.below(3)
            return "\(1_700_000_000 + counter)"
        case 3:
            let text = "\(numbers.below(1000))"
            return String(repeating: "0", count: 5 - text.count) + text
        case 4: return hex(16)
        case 5: return hex(32)
        case 6: return ids[numbers.below(ids.count)]
        case 7: return uuid()
        case 8: return "\(numbers.below(300)).\(numbers.below(100))"
        case 9: return "10.0.\(numbers.below(4)).\(numbers.below(256))"
        case 10: return "x\(numbers.below(90))a\(numbers.below(9))b"
        case 11: return ids[numbers.below(ids.count)].uppercased()
        case 12: return "\(numbers.next())\(numbers.next())"
        case 13: return ["200", "404", "500"][numbers.below(3)]
        case 14: return hex(64)
        default: return hex(1 + numbers.below(12))
        }
    }

    private mutating func uuid() -> String {
        [8, 4, 4, 4, 12].map { hex($0) }.joined(separator: "-")
    }

    mutating func line() -> [UInt8] {
        let made = make()
        lines.append(made)
        if lines.count > 200 { lines.removeFirst(50) }
        return made
    }

    private mutating func make() -> [UInt8] {
        switch numbers.below(200) {
        case 0: return []
        case 1:
            return (0..<numbers.below(50)).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        case 2: return Array("a\u{0}b \(numbers.below(100))\u{0}".utf8)
        case 3: return Array((0..<300).map { "\($0)" }.joined(separator: " ").utf8)
        case 4: return [0xff, 0x61, 0xfe, 0x31]
        case 5: return Array(hex(1 + numbers.below(100)).utf8)
        case 6..<9 where !lines.isEmpty: return lines[numbers.below(lines.count)]
        default:
            var text = ""
            for segment in templates[numbers.below(templates.count)] {
                switch segment {
                case .text(let piece): text += piece
                case .value(let kind): text += value(kind)
                }
            }
            return Array(text.utf8)
        }
    }

    /// The trace id that a line's first 32 digits may be lifted into.
    mutating func lifted(_ line: [UInt8]) -> TraceID {
        guard numbers.chance(50) else { return .zero }
        var run: [UInt8] = []
        for byte in line + [0] {
            if (48...57).contains(byte) || (97...102).contains(byte) {
                run.append(byte)
            } else {
                if run.count == 32 {
                    return run.withUnsafeBytes { TraceID(hex: $0) ?? .zero }
                }
                run = []
            }
        }
        return .zero
    }

    /// A regular expression of needles and of what may stand between them.
    mutating func pattern() -> String {
        var pattern = ""
        for _ in 0..<(1 + numbers.below(3)) {
            for character in needle().unicodeScalars {
                if character.value < 128, !character.properties.isAlphabetic,
                    character.properties.numericType == nil, character.value > 32
                {
                    pattern += "\\"
                }
                pattern.unicodeScalars.append(character)
            }
            pattern +=
                ["", ".*", "?", "+", "*", "{0,2}", "[0-9a-f]*", "(a|1)?", "\\d*"][
                    numbers.below(9)]
        }
        return numbers.chance(10)
            ? pattern + "|" + needle().lowercased().filter(\.isLetter) : pattern
    }

    mutating func needle() -> String {
        guard let line = lines.randomElement(using: &numbers) else { return "x" }
        switch numbers.below(14) {
        case 0: return LineMaker.texts[numbers.below(LineMaker.texts.count)]
        case 1: return value(numbers.below(16))
        case 2: return ids[numbers.below(ids.count)]
        case 3:
            return ["kaleidoscope", "", "e", "0", "decade", " ", "=4", "-4", "ab"][numbers.below(9)]
        case 4: return String(decoding: line, as: UTF8.self)
        case 5: return String(decoding: line + [0x21], as: UTF8.self)
        case 6:
            let other = lines[numbers.below(lines.count)]
            return String(decoding: line.suffix(numbers.below(9)) + other.prefix(6), as: UTF8.self)
        case 7: return String(decoding: piece(line), as: UTF8.self).uppercased()
        case 8...9:
            var piece = piece(line)
            if let index = piece.indices.randomElement(using: &numbers) {
                piece[index] = [0x61, 0x30, 0x20, 0x7a, 0x39][numbers.below(5)]
            }
            return String(decoding: piece, as: UTF8.self)
        default: return String(decoding: piece(line), as: UTF8.self)
        }
    }

    private mutating func piece(_ line: [UInt8]) -> [UInt8] {
        if line.isEmpty { return [] }
        let start = numbers.below(line.count)
        return Array(line[start..<min(line.count, start + 1 + numbers.below(40))])
    }
}
