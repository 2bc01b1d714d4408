// SPDX-License-Identifier: Apache-2.0
// What lines of one statement have in common.

import Base
import Correlation

/// The words of a line without what changes from one line to the next.
enum LineShape {
    /// Words that are looked at; what follows is data more often than not.
    private static let wordLimit = 24
    private static let byteLimit = 512

    /// The text itself of a line that a container runtime or a JSON logger wrapped: the field `log`,
    /// `message` or `msg`; else the line.
    static func text(_ line: String) -> String {
        guard line.utf8.first == UInt8(ascii: "{") else { return line }
        var line = line
        let found = line.withUTF8 { bytes -> String? in
            var reader = JSONReader(UnsafeRawBufferPointer(bytes))
            // What is not JSON after all stays as it is.
            return try? firstText(&reader)
        }
        return found ?? line
    }

    private static func firstText(_ reader: inout JSONReader) throws(MalformedJSON) -> String? {
        var found: [String: String] = [:]
        try reader.beginObject()
        while let key = try reader.nextKey() {
            let name = key.string
            if names.contains(name), try reader.peek() == .string {
                found[name] = try reader.string().string
            } else {
                try reader.skipValue()
            }
        }
        for name in names { if let text = found[name] { return text } }
        return nil
    }
    private static let names = ["log", "message", "msg"]

    /// Words of the first line, with `<*>` for those that hold a digit; of a word like
    /// `a.b.Class#48` or `cart.go:12` nothing is lost.
    static func template(_ text: String) -> String {
        var words: [Substring] = []
        let head = text.utf8.prefix(byteLimit).prefix { $0 != UInt8(ascii: "\n") }
        for bytes in head.split(maxSplits: wordLimit, whereSeparator: { $0 <= 0x20 })
            .prefix(wordLimit)
        {
            let hasDigit = bytes.contains { (0x30...0x39).contains($0) }
            let word = Substring(decoding: bytes, as: UTF8.self)
            if !hasDigit || isSite(bytes) {
                words.append(word)
            } else if words.last != "<*>" {
                words.append("<*>")
            }
        }
        return words.joined(separator: " ")
    }

    /// Whether a word may be a place in code: letters, then `#` or `:` and digits.
    private static func isSite(_ word: Substring.UTF8View.SubSequence) -> Bool {
        var bytes = word
        while let last = bytes.last, ":,])".utf8.contains(last) { bytes = bytes.dropLast() }
        guard
            let mark = bytes.lastIndex(where: {
                $0 == UInt8(ascii: "#") || $0 == UInt8(ascii: ":")
            }),
            mark > bytes.startIndex
        else { return false }
        let number = bytes[bytes.index(after: mark)...]
        let name = bytes[..<mark]
        return !number.isEmpty && number.count <= 6
            && number.allSatisfy { (0x30...0x39).contains($0) } && name.contains(UInt8(ascii: "."))
            && name.contains { ($0 | 0x20) >= 0x61 }
    }

    /// A piece of text by which lines of a statement can be found: its place in the code as it stands
    /// in the line, with what follows it, so that `A#4` does not find `A#48`; else words.
    static func literal(of site: CodeLocation?, _ template: String, _ line: String) -> String {
        if let raw = site?.raw, !raw.isEmpty, raw.utf8.count < 100,
            let place = line[...].firstRange(of: raw)
        {
            let next = line[place.upperBound...].prefix(1)
            // Quotes and backslashes are not worth the trouble that they make in queries.
            return raw + (next == "\"" || next == "\\" || next == "\n" ? "" : next)
        }
        return literal(template: template, text: line)
    }

    /// The longest run of words of a template that all its lines have, as it stands in a line.
    static func literal(template: String, text: String) -> String {
        let runs = template.components(separatedBy: "<*>")
        let best = runs.max { $0.utf8.count < $1.utf8.count } ?? template
        var words = best.split(separator: " ")
        // What is written with other spaces than one is not found by its words.
        while !words.isEmpty, !text.utf8.isEmpty {
            let piece = words.joined(separator: " ")
            if text.contains(piece) { return piece }
            words.removeLast()
        }
        return String(text.prefix(40))
    }
}

extension String {
    /// Pieces between the occurrences of a mark.
    func components(separatedBy mark: String) -> [String] {
        var result: [String] = []
        var rest = self[...]
        while let found = rest.firstRange(of: mark) {
            result.append(String(rest[..<found.lowerBound]))
            rest = rest[found.upperBound...]
        }
        result.append(String(rest))
        return result
    }
}

extension Substring {
    /// Where a text first stands, compared as bytes.
    fileprivate func firstRange(of text: String) -> Range<Index>? {
        let wanted = Array(text.utf8)
        guard let first = wanted.first else { return nil }
        var index = utf8.startIndex
        while let start = utf8[index...].firstIndex(of: first) {
            if utf8[start...].starts(with: wanted) {
                return start..<utf8.index(start, offsetBy: wanted.count)
            }
            index = utf8.index(after: start)
        }
        return nil
    }
}
