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
        var text = text
        return text.withUTF8 { bytes in
            var result: [UInt8] = []
            forEachWord(UnsafeRawBufferPointer(bytes)) { word in
                if !result.isEmpty { result.append(0x20) }
                word.map { result.append(contentsOf: $0) } ?? result.append(contentsOf: "<*>".utf8)
            }
            return String(decoding: result, as: UTF8.self)
        }
    }

    /// The same for equal templates, without building them.
    static func hash(_ text: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0x5bd1_e995
        forEachWord(text) { word in
            hash = word.map { hash64($0, seed: hash) } ?? (hash &* 0x9e37_79b9_7f4a_7c15 &+ 1)
        }
        return hash
    }

    /// The same for error messages that differ in numbers and names of services only.
    ///
    /// - Parameter isService: whether a word, without the punctuation around it, names a service.
    static func failure(
        _ text: UnsafeRawBufferPointer, seed: UInt64,
        _ isService: (UnsafeRawBufferPointer) -> Bool
    ) -> UInt64 {
        var hash = seed
        forEachWord(text, limit: 2 * wordLimit) { word in
            guard let word, !isService(trimmed(word)) else { return }
            hash = hash64(word, seed: hash)
        }
        return hash
    }

    /// Without punctuation at both ends.
    private static func trimmed(_ word: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        func isMark(_ byte: UInt8) -> Bool { "[](){}<>\"'`,;:.!?=".utf8.contains(byte) }
        var start = 0, end = word.count
        while end > start, isMark(word[end - 1]) { end -= 1 }
        while start < end, isMark(word[start]) { start += 1 }
        return UnsafeRawBufferPointer(rebasing: word[start..<end])
    }

    /// Calls `body` with each word of the template, nil for a run of words with digits.
    private static func forEachWord(
        _ text: UnsafeRawBufferPointer, limit: Int = wordLimit,
        _ body: (UnsafeRawBufferPointer?) -> Void
    ) {
        let end = min(text.count, byteLimit)
        var i = 0
        var count = 0
        var isRun = false
        while i < end, count < limit, text[i] != UInt8(ascii: "\n") {
            if text[i] <= 0x20 {
                i += 1
                continue
            }
            let start = i
            var hasDigit = false
            while i < end, text[i] > 0x20 {
                if (0x30...0x39).contains(text[i]) { hasDigit = true }
                i += 1
            }
            count += 1
            let word = UnsafeRawBufferPointer(rebasing: text[start..<i])
            if !hasDigit || isSite(word) {
                body(word)
                isRun = false
            } else if !isRun {
                body(nil)
                isRun = true
            }
        }
    }

    /// Whether a word may be a place in code: letters with a dot, then `#` or `:` and digits.
    private static func isSite(_ word: UnsafeRawBufferPointer) -> Bool {
        var end = word.count
        while end > 0, ":,])".utf8.contains(word[end - 1]) { end -= 1 }
        var mark = end
        while mark > 0, (0x30...0x39).contains(word[mark - 1]) { mark -= 1 }
        guard mark > 1, (1...6).contains(end - mark),
            word[mark - 1] == UInt8(ascii: "#") || word[mark - 1] == UInt8(ascii: ":")
        else { return false }
        var hasDot = false, hasLetter = false
        for byte in word[..<(mark - 1)] {
            if byte == UInt8(ascii: ".") { hasDot = true }
            if (byte | 0x20) >= 0x61 { hasLetter = true }
        }
        return hasDot && hasLetter
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
