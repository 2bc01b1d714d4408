// SPDX-License-Identifier: Apache-2.0
// Levels of log lines.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

private func levelOfText(_ line: String) -> LogLevel {
    Array(line.utf8).withUnsafeBytes { LevelDetection.level(ofText: $0) }
}
private func levelOfLine(_ line: String) -> LogLevel {
    Array(line.utf8).withUnsafeBytes { LevelDetection().level(ofLine: $0) }
}

@Test func levelsOfThePublicCases() throws {
    guard let file = Corpora.file("logql/level-detection.jsonl") else { return }
    // Names of the cases, which are static text in the product.
    let fields: [[StaticString]] = [
        LevelDetection.defaultFields, ["log_level", "logging_level", "LOGGINGLVL", "lvl"],
    ]
    var failures: [String] = []
    var count = 0
    for line in file.split(separator: UInt8(ascii: "\n")) {
        count += 1
        let row = try JSONValue(parsing: Array(line))
        let expected = row["level"].text
        let found: String
        if let number = Int64(row["severityNumber"].text) {
            found = "\(LogLevel(severityNumber: number).text)"
        } else {
            let text = row["line"].text
            if row.has("levelFields") {
                let isDefault = row["levelFields"][0].text == "level"
                let detection = LevelDetection(fields: fields[isDefault ? 0 : 1])
                let metadata = Labels(
                    row["metadata"].members.map { ($0.name, $0.value.text) })
                let inMetadata = metadata.bytes.withUnsafeBytes { bytes in
                    detection.level(ofMetadata: bytes).map {
                        String(decoding: $0.bytes, as: UTF8.self)
                    }
                }
                found =
                    inMetadata
                    ?? Array(text.utf8).withUnsafeBytes { "\(detection.level(ofLine: $0).text)" }
            } else {
                found = "\(levelOfText(text).text)"
            }
        }
        if found != expected { failures.append("\(text(of: row)): \(found), not \(expected)") }
    }
    #expect(count > 100)
    #expect(failures == [])

    func text(of row: JSONValue) -> String { row["line"].text }
}

@Test func levelsInJSONLines() {
    #expect(levelOfLine(#"{"a":{"level":"warn"}}"#) == .warn)
    #expect(levelOfLine(#"{"a":{"b":{"level":"warn"}},"x":1}"#) == .warn)  // a word, not a member
    #expect(levelOfLine(#"{"a":{"b":{"level":"wrn"}},"x":1}"#) == .unknown)
    #expect(levelOfLine(#"{"level":30,"msg":"x"}"#) == .unknown)
    #expect(levelOfLine(#" {"msg":"an error","lvl":"dbg"} "#) == .debug)
    #expect(levelOfLine(#"{"level":"warn","broken":}"#) == .warn)
    #expect(levelOfLine(#"{"level" error}"#) == .error)
    #expect(levelOfLine(#"{"msg":"{\"level\":\"error\"}"}"#) == .error)
}

@Test func levelsInLogfmtLines() {
    #expect(levelOfLine(#"msg="an error" LvL=WRN"#) == .warn)
    #expect(levelOfLine(#"lvl=error level=info"#) == .info)
    #expect(levelOfLine(#"msg="level=error" level=debug"#) == .debug)
    #expect(levelOfLine(#"level="#) == .unknown)
    #expect(levelOfLine(#"level="err"#) == .error)
    #expect(levelOfLine(#"="#) == .unknown)
}

/// What the search for signs and quotes must come to: a walk byte by byte.
private func levelByWalking(_ line: [UInt8]) -> LogLevel {
    let fields = LevelDetection.defaultFields
    var best = fields.count
    var found: [UInt8]?
    var i = 0
    walk: while i < line.count {
        while i < line.count, line[i] <= 0x20 { i += 1 }
        var key: [UInt8] = []
        while i < line.count, line[i] > 0x20, line[i] != UInt8(ascii: "=") {
            if line[i] == UInt8(ascii: "\"") { break walk }
            key.append(line[i])
            i += 1
        }
        guard i < line.count, line[i] == UInt8(ascii: "=") else { continue }
        i += 1
        var value: [UInt8] = []
        if i < line.count, line[i] == UInt8(ascii: "\"") {
            i += 1
            while i < line.count, line[i] != UInt8(ascii: "\"") {
                let n = line[i] == UInt8(ascii: "\\") ? 2 : 1
                value += line[i..<min(i + n, line.count)]
                i += n
            }
            i += 1
        } else {
            while i < line.count, line[i] > 0x20 {
                value.append(line[i])
                i += 1
            }
        }
        let rank = key.withUnsafeBytes { key in
            fields.firstIndex { equalFolded(key, $0.bytes) }
        }
        if let rank, rank < best { (best, found) = (rank, value) }
    }
    let named = found.flatMap { $0.withUnsafeBytes { LogLevel(named: $0) } }
    return named ?? line.withUnsafeBytes { LevelDetection.level(ofText: $0) }
}

@Test func levelsInLogfmtLinesAreThoseOfAWalk() {
    let pieces = [
        "level", "LVL", "severity", "msg", "a", "=", "=", "=", "\"", "\"", "\\", " ", " ", "\t",
        "error", "warn", "info", "dbg", "x=\"level=error\"", "log.level", "\u{e9}", ":",
    ]
    var random = SplitMix64(seed: 11)
    for _ in 0..<40_000 {
        let count = 1 + Int(random.next() % 14)
        let text = (0..<count).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }
        let line = Array(text.joined().utf8)
        let expected = levelByWalking(line)
        let level = line.withUnsafeBytes { LevelDetection().level(ofLine: $0) }
        #expect(level == expected, "\(text.joined())")
    }
}

@Test func levelsInText() {
    let cases: [(String, LogLevel)] = [
        ("\u{1b}[31mERROR\u{1b}[0m x", .error), ("\u{1b}[1;33mwarn\u{1b}[0m", .warn),
        ("an error.", .error), ("error.go:12", .unknown), ("see errors.Is", .unknown),
        ("<error>", .error), ("2024|WARN|x", .warn), ("--error", .unknown), ("err", .error),
        ("Error: x", .error), ("farm error", .error), ("alarmerror", .unknown), ("", .unknown),
    ]
    for (line, level) in cases { #expect(levelOfText(line) == level, "\(line)") }
}

@Test func levelsInLabelsAndMetadata() {
    func inMetadata(_ pairs: [(name: String, value: String)]) -> String? {
        Labels(pairs).bytes.withUnsafeBytes { bytes in
            LevelDetection().level(ofMetadata: bytes).map {
                String(decoding: $0.bytes, as: UTF8.self)
            }
        }
    }
    #expect(inMetadata([]) == nil)
    #expect(inMetadata([("level", "Information")]) == "info")
    #expect(inMetadata([("level", "notice")]) == "notice")
    #expect(inMetadata([("lvl", "error"), ("level", "info")]) == "info")
    #expect(inMetadata([("severity_number", "17"), ("severity_text", "WARN")]) == "error")
    #expect(inMetadata([("severity_number", "x")]) == "info")
    #expect(inMetadata([("severity_number", "0")]) == "unknown")
    #expect(inMetadata([("severity_text", "WARN")]) == "warn")
    #expect(inMetadata([("severity_text", "notice")]) == nil)
}
