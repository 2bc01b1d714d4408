// SPDX-License-Identifier: Apache-2.0
// Test scripts: loads of series and evaluations with expectations.

import Base
import PromQL
import Telemetry

/// A line that is not what the script language allows.
struct ScriptError: Error, CustomStringConvertible {
    var line: Int
    var message: String
    var description: String { "line \(line): \(message)" }
}

/// A parsed script. The language is that of Prometheus' `promqltest`.
package struct Script {
    enum Command {
        case clear
        case load(Load)
        case evaluate(Evaluation)
    }

    package struct Load {
        var stepMillis: Int64
        var convertsClassicHistograms: Bool
        var series: [(labels: Labels, items: [SeriesItem], starts: [Int64?])]
    }

    struct Evaluation {
        enum Time {
            case instant(Int64)
            case range(start: Int64, end: Int64, step: Int64)
        }
        enum Text {
            case any
            case exact(String)
            case pattern(String)
        }
        var line: Int
        var time: Time
        var expression: String
        var isOrdered = false
        var fails: Text?
        var warnings: [Text] = []
        var infos: [Text] = []
        var noWarnings = false
        var noInfos = false
        var string: String?
        /// The instant query answers a matrix with points on this grid.
        var matrixGrid: (start: Int64, end: Int64, step: Int64)?
        var scalar: Double?
        var series: [(labels: Labels, items: [SeriesItem])] = []
    }

    var commands: [Command] = []

    package init(_ text: String) throws {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let trimmed = line.trimmed
            return trimmed.hasPrefix("#") ? "" : trimmed
        }
        var index = 0
        while index < lines.count {
            if lines[index].isEmpty {
                index += 1
                continue
            }
            let begin = index
            var body: [String] = []
            index += 1
            let word = lines[begin].firstWord.lowercased()
            if word == "clear" {
                commands.append(.clear)
                continue
            }
            while index < lines.count, !lines[index].isEmpty {
                body.append(lines[index])
                index += 1
            }
            if word.hasPrefix("load") {
                commands.append(.load(try Script.load(lines[begin], body, begin + 1)))
            } else if word.hasPrefix("eval") {
                commands.append(
                    .evaluate(try Script.evaluation(lines[begin], body, begin + 1)))
            } else {
                throw ScriptError(line: begin + 1, message: "unknown command \(word)")
            }
        }
    }

    // MARK: load

    private static func load(_ head: String, _ body: [String], _ line: Int) throws -> Load {
        let words = head.words
        guard words.count == 2 else { throw ScriptError(line: line, message: head) }
        var load = Load(
            stepMillis: try parseDurationMillis(words[1]),
            convertsClassicHistograms: words[0] == "load_with_nhcb", series: [])
        var starts: [Int64?] = []
        for (offset, text) in body.enumerated() {
            if let marker = text.startMarker {
                starts = try startItems(text[marker...].words.dropFirst(), line + offset + 1)
                continue
            }
            let (labels, items) = try parseSeriesNotation(text)
            load.series.append((labels, items, starts))
            starts = []
        }
        return load
    }

    private static func startItems(_ words: ArraySlice<String>, _ line: Int) throws -> [Int64?] {
        var result: [Int64?] = []
        for word in words {
            if word.hasPrefix("_") {
                let count = word.hasPrefix("_x") ? Int(word.dropFirst(2)) ?? 0 : 1
                result += [Int64?](repeating: nil, count: count)
                continue
            }
            var rest = word[...]
            func signedDuration() throws -> Int64 {
                var sign: Int64 = 1
                if let first = rest.first, first == "-" || first == "+" {
                    if first == "-" { sign = -1 }
                    rest = rest.dropFirst()
                }
                let digits = rest.prefix { $0.isLetter && $0 != "x" || $0.isNumber }
                rest = rest.dropFirst(digits.count)
                return sign * (try parseDurationMillis(digits))
            }
            var value = try signedDuration()
            let increment = rest.hasPrefix("+") || rest.hasPrefix("-") ? try signedDuration() : 0
            let count = rest.hasPrefix("x") ? (Int(rest.dropFirst()) ?? 0) + 1 : 1
            for _ in 0..<count {
                result.append(value)
                value += increment
            }
        }
        return result
    }

    // MARK: eval

    private static func evaluation(
        _ head: String, _ body: [String], _ line: Int
    ) throws -> Evaluation {
        var rest = head[...]
        let command = rest.takeWord()
        let kind = rest.takeWord()
        let time: Evaluation.Time
        if kind == "instant" {
            _ = rest.takeWord()
            time = .instant(try parseDurationMillis(rest.takeWord()))
        } else {
            _ = rest.takeWord()
            let start = try parseDurationMillis(rest.takeWord())
            _ = rest.takeWord()
            let end = try parseDurationMillis(rest.takeWord())
            _ = rest.takeWord()
            time = .range(
                start: start, end: end, step: try parseDurationMillis(rest.takeWord()))
        }
        var result = Evaluation(line: line, time: time, expression: String(rest).trimmed)
        switch command {
        case "eval": break
        case "eval_fail": result.fails = .any
        case "eval_warn": result.warnings = [.any]
        case "eval_info": result.infos = [.any]
        case "eval_ordered": result.isOrdered = true
        default: throw ScriptError(line: line, message: "unknown command \(command)")
        }
        for (offset, text) in body.enumerated() {
            if try expectation(text, line + offset + 1, &result) { continue }
            if let number = parseFloat(text) {
                result.scalar = number
                break
            }
            result.series.append(try parseSeriesNotation(text))
        }
        return result
    }

    /// Reads a line that is not a result; false when it is one.
    private static func expectation(
        _ text: String, _ line: Int, _ result: inout Evaluation
    ) throws -> Bool {
        var rest = text[...]
        let word = rest.takeWord()
        if word == "expected_fail_message" {
            result.fails = .exact(String(rest).trimmed)
            return true
        }
        if word == "expected_fail_regexp" {
            result.fails = .pattern(String(rest).trimmed)
            return true
        }
        guard word == "expect" else { return false }
        let kind = rest.takeWord()
        let argument = String(rest).trimmed
        let expected: Evaluation.Text
        if argument.hasPrefix("msg:") {
            expected = .exact(String(argument.dropFirst(4)).trimmed)
        } else if argument.hasPrefix("regex:") {
            expected = .pattern(String(argument.dropFirst(6)).trimmed)
        } else {
            expected = .any
        }
        switch kind {
        case "ordered": result.isOrdered = true
        case "no_warn": result.noWarnings = true
        case "no_info": result.noInfos = true
        case "fail": result.fails = expected
        case "warn": result.warnings.append(expected)
        case "info": result.infos.append(expected)
        case "string":
            guard let bytes = unquotedBytes(argument.utf8) else {
                throw ScriptError(line: line, message: text)
            }
            result.string = String(decoding: bytes, as: UTF8.self)
        case "range":
            let words = argument.words
            guard words.count == 7 else { throw ScriptError(line: line, message: text) }
            result.matrixGrid = (
                try parseDurationMillis(words[2]), try parseDurationMillis(words[4]),
                try parseDurationMillis(words[6])
            )
        default: throw ScriptError(line: line, message: text)
        }
        return true
    }
}

extension StringProtocol {
    package var trimmed: String {
        func isBlank(_ c: Character) -> Bool { c == " " || c == "\t" || c == "\r" }
        var text = self[...]
        while let first = text.first, isBlank(first) { text = text.dropFirst() }
        while let last = text.last, isBlank(last) { text = text.dropLast() }
        return String(text)
    }
    var words: [String] {
        split(whereSeparator: { $0 == " " || $0 == "\t" }).map { String($0) }
    }
    var firstWord: String { words.first ?? "" }

    /// Where `@st` ends a metric, when the line gives start times.
    var startMarker: Index? {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix("@st "), index > startIndex {
                let before = self[self.index(before: index)]
                if before != " ", before != "\t" { return index }
            }
            index = self.index(after: index)
        }
        return nil
    }
}

extension Substring {
    /// Removes and returns the first word.
    mutating func takeWord() -> String {
        self = drop { $0 == " " || $0 == "\t" }
        let word = prefix { $0 != " " && $0 != "\t" }
        self = dropFirst(word.count)
        return String(word)
    }
}
