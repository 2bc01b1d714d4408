// SPDX-License-Identifier: Apache-2.0
// Labels of a stream as text: `{app="api", "odd name"="x"}`.

import Base
import Telemetry

/// Label text that is not what PromQL's metric parser takes.
struct MalformedLabelText: Error, Equatable, CustomStringConvertible {
    var offset: Int
    var expected: String
    var description: String { "expected \(expected) at offset \(offset)" }
}

/// Reads and writes labels as Loki's protobuf push carries them.
///
///     labels = [ metricName ] [ "{" [ pair { "," pair } [ "," ] ] "}" ]
///     pair   = ( name | quoted ) "=" quoted
///
/// A quoted string alone inside the braces is the metric name. Strings are double- or
/// single-quoted with Go's escapes, or raw between backticks.
struct StreamLabelText {
    private let text: UnsafeRawBufferPointer
    private var offset = 0

    private init(_ text: UnsafeRawBufferPointer) { self.text = text }

    /// Appends the pairs to `labels` in the order of the text; names may repeat.
    static func parse(
        _ text: UnsafeRawBufferPointer, into labels: inout LabelsBuilder
    ) throws(MalformedLabelText) {
        var parser = StreamLabelText(text)
        try parser.parse(into: &labels)
    }

    private func malformed(_ expected: String) -> MalformedLabelText {
        MalformedLabelText(offset: offset, expected: expected)
    }

    private mutating func significant() -> UInt8 {
        while offset < text.count {
            switch text[offset] {
            case 0x20, 0x09, 0x0a, 0x0d: offset &+= 1
            default: return text[offset]
            }
        }
        return 0
    }

    private mutating func parse(into labels: inout LabelsBuilder) throws(MalformedLabelText) {
        var name: [UInt8] = []
        var value: [UInt8] = []
        if significant() != UInt8(ascii: "{") {
            labels.append(Self.metricName.bytes, try bareName(allowsColon: true))
            if significant() == 0, offset == text.count { return }
        }
        guard significant() == UInt8(ascii: "{") else { throw malformed("an opening brace") }
        offset &+= 1
        while significant() != UInt8(ascii: "}") {
            name.removeAll(keepingCapacity: true)
            value.removeAll(keepingCapacity: true)
            let first = significant()
            var bare: UnsafeRawBufferPointer?
            if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'")
                || first == UInt8(ascii: "`")
            {
                try readQuoted(into: &name)
            } else {
                bare = try bareName(allowsColon: false)
            }
            if significant() == UInt8(ascii: "=") {
                offset &+= 1
                _ = significant()
                // Nearly all names are bare and nearly no value has an escape: both are then taken
                // from the text as they lie.
                if let bare, let plain = plainQuoted() {
                    labels.append(bare, plain)
                } else {
                    if let bare { name.append(contentsOf: bare) }
                    try readQuoted(into: &value)
                    name.withUnsafeBytes { n in
                        value.withUnsafeBytes { v in labels.append(n, v) }
                    }
                }
            } else if first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") {
                name.withUnsafeBytes { labels.append(Self.metricName.bytes, $0) }
            } else {
                throw malformed("an equals sign")
            }
            if significant() == UInt8(ascii: ",") {
                offset &+= 1
            } else if significant() != UInt8(ascii: "}") {
                throw malformed("a comma or a closing brace")
            }
        }
        offset &+= 1
        _ = significant()
        guard offset == text.count else { throw malformed("the end") }
    }

    private static let metricName: StaticString = "__name__"

    private mutating func bareName(
        allowsColon: Bool
    ) throws(MalformedLabelText) -> UnsafeRawBufferPointer {
        let start = offset
        loop: while offset < text.count {
            switch text[offset] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                break
            case UInt8(ascii: "0")...UInt8(ascii: "9"): if offset == start { break loop }
            case UInt8(ascii: ":"): if !allowsColon { break loop }
            default: break loop
            }
            offset &+= 1
        }
        guard offset > start else { throw malformed("a label name") }
        return UnsafeRawBufferPointer(rebasing: text[start..<offset])
    }

    /// The inside of a string in double quotes that has no escapes; nil for anything else, which is
    /// then still to be read.
    private mutating func plainQuoted() -> UnsafeRawBufferPointer? {
        guard offset < text.count, text[offset] == UInt8(ascii: "\"") else { return nil }
        let inside = UnsafeRawBufferPointer(rebasing: text[(offset &+ 1)...])
        let end = findEither(UInt8(ascii: "\""), UInt8(ascii: "\\"), in: inside)
        guard end < inside.count, inside[end] == UInt8(ascii: "\"") else { return nil }
        offset &+= end &+ 2
        return UnsafeRawBufferPointer(rebasing: inside[..<end])
    }

    private mutating func readQuoted(into out: inout [UInt8]) throws(MalformedLabelText) {
        guard offset < text.count else { throw malformed("a quoted string") }
        let quote = text[offset]
        guard
            quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") || quote == UInt8(ascii: "`")
        else { throw malformed("a quoted string") }
        offset &+= 1
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: text[offset...])
            let plain = findEither(
                quote, quote == UInt8(ascii: "`") ? quote : UInt8(ascii: "\\"), in: rest)
            out.append(contentsOf: rest[..<plain])
            offset &+= plain
            guard offset < text.count else { throw malformed("a closing quote") }
            offset &+= 1
            if text[offset &- 1] == quote { return }
            try readEscape(quote, into: &out)
        }
    }

    /// What follows a backslash, as Go's strconv.UnquoteChar has it.
    private mutating func readEscape(
        _ quote: UInt8, into out: inout [UInt8]
    ) throws(MalformedLabelText) {
        guard offset < text.count else { throw malformed("an escape") }
        let escape = text[offset]
        offset &+= 1
        switch escape {
        case UInt8(ascii: "a"): out.append(0x07)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0c)
        case UInt8(ascii: "n"): out.append(0x0a)
        case UInt8(ascii: "r"): out.append(0x0d)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "v"): out.append(0x0b)
        case UInt8(ascii: "\\"): out.append(escape)
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            guard escape == quote else { throw malformed("an escape") }
            out.append(escape)
        case UInt8(ascii: "x"): out.append(UInt8(truncatingIfNeeded: try readHex(2)))
        case UInt8(ascii: "u"), UInt8(ascii: "U"):
            let scalar = try readHex(escape == UInt8(ascii: "u") ? 4 : 8)
            guard scalar < 0x110000, !(0xd800..<0xe000).contains(scalar) else {
                throw malformed("a Unicode scalar")
            }
            appendUTF8(scalar, to: &out)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            var value = UInt32(escape &- UInt8(ascii: "0"))
            for _ in 0..<2 {
                guard offset < text.count, text[offset] &- UInt8(ascii: "0") < 8 else {
                    throw malformed("three octal digits")
                }
                value = value &* 8 &+ UInt32(text[offset] &- UInt8(ascii: "0"))
                offset &+= 1
            }
            guard value < 256 else { throw malformed("an octal escape below 400") }
            out.append(UInt8(value))
        default: throw malformed("an escape")
        }
    }

    private mutating func readHex(_ digits: Int) throws(MalformedLabelText) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard offset < text.count, let digit = hexDigit(text[offset]) else {
                throw malformed("\(digits) hexadecimal digits")
            }
            value = value &<< 4 | UInt32(digit)
            offset &+= 1
        }
        return value
    }

    /// Appends the text of canonical labels, `{app="api", env="prod"}`.
    static func append(_ labels: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "{"))
        var isFirst = true
        forEachLabel(in: labels) { name, value in
            if !isFirst { out.append(contentsOf: ", ".utf8) }
            isFirst = false
            if isPlainName(name) {
                out.append(contentsOf: name)
            } else {
                appendQuoted(name, to: &out)
            }
            out.append(UInt8(ascii: "="))
            appendQuoted(value, to: &out)
        }
        out.append(UInt8(ascii: "}"))
    }

    /// Letters, digits and underscores, no digit first.
    static func isPlainName(_ name: UnsafeRawBufferPointer) -> Bool {
        var isFirst = true
        for byte in name {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "_"):
                break
            case UInt8(ascii: "0")...UInt8(ascii: "9"): if isFirst { return false }
            default: return false
            }
            isFirst = false
        }
        return !isFirst
    }

    private static func appendQuoted(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(contentsOf: [0x5c, byte])
            case 0x0a: out.append(contentsOf: #"\n"#.utf8)
            case 0x0d: out.append(contentsOf: #"\r"#.utf8)
            case 0x09: out.append(contentsOf: #"\t"#.utf8)
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
}
