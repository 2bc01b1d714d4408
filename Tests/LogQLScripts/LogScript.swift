// SPDX-License-Identifier: Apache-2.0
// Reads .logqltest scripts: loads and evaluations with their expectations.

import Base
import LogQL
import Telemetry

/// A script taken apart.
package struct LogScript {
    package struct Evaluation {
        package var line: Int
        package var query: String
        /// Nanoseconds from the script's epoch.
        package var start: Int64
        package var end: Int64
        /// 0 = instant.
        package var step: Int64
        package var expected: [(labels: [String: String], values: [Double?])] = []
        package var scalar: Double?
        package var failure: Failure?
        package var isOrdered = false
    }
    package enum Failure {
        case any
        case contains(String)
        case matches(String)
    }
    package struct Load {
        package var stream: [String: String]
        package var text: String
        package var start: Int64
        package var step: Int64
        package var count: Int
        package var metadata: [String: String]

        /// Line `i` of the run.
        package func line(_ i: Int) -> String { text.replacing("{{.i}}", with: "\(i)") }
    }
    package enum Command {
        case clear
        case load([Load])
        case evaluate(Evaluation)
    }
    package struct Malformed: Error { package var line: Int }

    package var commands: [Command] = []

    package init(_ text: String) throws {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated().map {
                (number: $0.offset + 1, text: LogScript.withoutComment($0.element))
            }[
                ...]
        while let (number, line) = lines.popFirst() {
            let content = line.trimmed
            if content.isEmpty { continue }
            if content == "clear" {
                commands.append(.clear)
                continue
            }
            var body: [(Int, String)] = []
            while let (n, next) = lines.first {
                let isBlank = next.text.trimmed.isEmpty
                if isBlank, !next.hadComment { break }
                if !isBlank, next.text.first != " ", next.text.first != "\t" { break }
                lines.removeFirst()
                if !isBlank { body.append((n, next.text.trimmed)) }
            }
            if content == "load" {
                commands.append(.load(try body.map { try LogScript.load($0.1, line: $0.0) }))
            } else if content.hasPrefix("eval ") {
                commands.append(.evaluate(try LogScript.evaluation(content, body, line: number)))
            } else {
                throw Malformed(line: number)
            }
        }
    }

    struct Line {
        var text: String
        var hadComment: Bool
        var trimmed: String { text.trimmed }
    }

    private static func withoutComment(_ line: Substring) -> Line {
        var quote: Character?
        var result = ""
        for character in line {
            if let open = quote {
                if character == open { quote = nil }
            } else if character == "\"" || character == "`" {
                quote = character
            } else if character == "#" {
                return Line(text: result, hadComment: true)
            }
            result.append(character)
        }
        return Line(text: result, hadComment: false)
    }

    // MARK: load

    private static func load(_ text: String, line: Int) throws -> Load {
        var cursor = Cursor(text)
        let stream = try cursor.labels(line)
        let content = try cursor.quoted(line)
        cursor.skipBlanks()
        guard cursor.take("@") else { throw Malformed(line: line) }
        var load = Load(
            stream: stream, text: content, start: try cursor.duration(line), step: 0, count: 1,
            metadata: [:])
        while cursor.takeBlank("[") {
            if cursor.takeBlank("repeat") {
                guard cursor.takeBlank("every") else { throw Malformed(line: line) }
                load.step = try cursor.duration(line)
                guard cursor.takeBlank("for"), let count = Int(cursor.word()) else {
                    throw Malformed(line: line)
                }
                load.count = count
                guard cursor.takeBlank("]") else { throw Malformed(line: line) }
            } else {
                guard cursor.takeBlank("metadata") else { throw Malformed(line: line) }
                while !cursor.takeBlank("]") {
                    cursor.skipBlanks()
                    let key = cursor.peek == "\"" ? try cursor.quoted(line) : cursor.word()
                    guard cursor.take("=") else { throw Malformed(line: line) }
                    load.metadata[key] = try cursor.quoted(line)
                }
            }
        }
        return load
    }

    // MARK: eval

    private static func evaluation(
        _ head: String, _ body: [(Int, String)], line: Int
    ) throws -> Evaluation {
        var cursor = Cursor(head)
        _ = cursor.takeBlank("eval")
        var result: Evaluation
        if cursor.takeBlank("instant") {
            guard cursor.takeBlank("at") else { throw Malformed(line: line) }
            let time = try cursor.duration(line)
            result = Evaluation(line: line, query: "", start: time, end: time, step: 0)
        } else {
            guard cursor.takeBlank("range"), cursor.takeBlank("from") else {
                throw Malformed(line: line)
            }
            let start = try cursor.duration(line)
            guard cursor.takeBlank("to") else { throw Malformed(line: line) }
            let end = try cursor.duration(line)
            guard cursor.takeBlank("step") else { throw Malformed(line: line) }
            result = Evaluation(
                line: line, query: "", start: start, end: end, step: try cursor.duration(line))
        }
        result.query = cursor.rest.trimmed
        for (number, text) in body {
            if text.hasPrefix("skip ") { continue }
            if text == "expect empty" { continue }
            if text == "expect ordered" {
                result.isOrdered = true
            } else if text == "expect fail" {
                result.failure = .any
            } else if text.hasPrefix("expect fail msg:") {
                result.failure = .contains(String(text.dropFirst(16)).trimmed)
            } else if text.hasPrefix("expect fail regex:") {
                result.failure = .matches(String(text.dropFirst(18)).trimmed)
            } else if text.hasPrefix("{") {
                var cursor = Cursor(text)
                let labels = try cursor.labels(number)
                result.expected.append((labels, try values(cursor.rest, line: number)))
            } else {
                result.scalar = try values(text, line: number).first ?? nil
            }
        }
        return result
    }

    private static func values(_ text: String, line: Int) throws -> [Double?] {
        var result: [Double?] = []
        for word in text.split(separator: " ") {
            if word == "_" {
                result.append(nil)
                continue
            }
            if let x = word.lastIndex(of: "x"), let count = Int(word[word.index(after: x)...]) {
                let series = word[..<x]
                let sign = series.dropFirst().lastIndex { $0 == "+" || $0 == "-" }
                let base = sign.map { series[..<$0] } ?? series
                let step = sign.flatMap { parseFloat(String(series[$0...])) } ?? 0
                guard let first = parseFloat(String(base)) else { throw Malformed(line: line) }
                for i in 0...count { result.append(first + Double(i) * step) }
                continue
            }
            guard let value = parseFloat(String(word)) else { throw Malformed(line: line) }
            result.append(value)
        }
        return result
    }
}

/// A cursor over one line of a script.
private struct Cursor {
    private var characters: ArraySlice<Character>

    init(_ text: String) { characters = Array(text)[...] }

    var rest: String { String(characters) }
    var peek: Character? { characters.first }

    mutating func skipBlanks() { characters = characters.drop { $0 == " " || $0 == "\t" } }

    mutating func take(_ text: String) -> Bool {
        guard characters.starts(with: text) else { return false }
        characters = characters.dropFirst(text.count)
        return true
    }

    mutating func takeBlank(_ text: String) -> Bool {
        skipBlanks()
        return take(text)
    }

    /// Up to a blank or one of `=]`.
    mutating func word() -> String {
        skipBlanks()
        let word = characters.prefix { !" \t=]".contains($0) }
        characters = characters.dropFirst(word.count)
        return String(word)
    }

    mutating func duration(_ line: Int) throws -> Int64 { try parseGoDuration(word()) }

    mutating func quoted(_ line: Int) throws -> String {
        skipBlanks()
        guard let quote = characters.popFirst(), quote == "\"" || quote == "`" else {
            throw LogScript.Malformed(line: line)
        }
        let text = characters.prefix { $0 != quote }
        characters = characters.dropFirst(text.count + 1)
        return String(text)
    }

    mutating func labels(_ line: Int) throws -> [String: String] {
        guard takeBlank("{") else { throw LogScript.Malformed(line: line) }
        var labels: [String: String] = [:]
        while !takeBlank("}") {
            _ = takeBlank(",")
            let name = word()
            guard takeBlank("=") else { throw LogScript.Malformed(line: line) }
            labels[name] = try quoted(line)
            _ = takeBlank(",")
        }
        return labels
    }
}

extension StringProtocol {
    var trimmed: String {
        var text = Substring(self)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        return String(text)
    }
}
