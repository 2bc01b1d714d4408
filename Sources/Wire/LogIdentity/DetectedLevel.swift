// SPDX-License-Identifier: Apache-2.0
// The level of a log line.

import Base
import Telemetry

/// What `detected_level` says. Raw values are stable: they index tables, nothing stored.
package enum LogLevel: UInt8, Sendable, CaseIterable {
    case unknown, trace, debug, info, warn, error, critical, fatal

    package var text: StaticString {
        switch self {
        case .unknown: "unknown"
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        case .critical: "critical"
        case .fatal: "fatal"
        }
    }

    /// The level a value names in any case, with the usual short forms; nil for other values.
    package init?(named value: UnsafeRawBufferPointer) {
        guard (3...11).contains(value.count) else { return nil }
        for (name, level) in LogLevel.names where equalFolded(value, name.bytes) {
            self = level
            return
        }
        return nil
    }

    private static let names: [(StaticString, LogLevel)] = [
        ("info", .info), ("error", .error), ("warn", .warn), ("debug", .debug), ("trace", .trace),
        ("warning", .warn), ("err", .error), ("fatal", .fatal), ("critical", .critical),
        ("inf", .info), ("information", .info), ("wrn", .warn), ("dbg", .debug), ("trc", .trace),
    ]

    /// Level of an OTLP severity number. Source: opentelemetry-specification `logs/data-model.md`.
    package init(severityNumber: Int64) {
        switch severityNumber {
        case 1...4: self = .trace
        case 5...8: self = .debug
        case 9...12: self = .info
        case 13...16: self = .warn
        case 17...20: self = .error
        case 21...24: self = .fatal
        default: self = severityNumber < 0 ? .trace : .unknown
        }
    }
}

/// Outcome of looking for a level: one of ours, or a value that names none and is kept as it is.
package enum DetectedLevel {
    case level(LogLevel)
    case other(UnsafeRawBufferPointer)

    package init(value: UnsafeRawBufferPointer) {
        self = LogLevel(named: value).map { .level($0) } ?? .other(value)
    }

    /// The bytes to store.
    package var bytes: UnsafeRawBufferPointer {
        switch self {
        case .level(let level): level.text.bytes
        case .other(let value): value
        }
    }
}

/// Finds the level of a line in the order Loki looks: stream labels, structured metadata, OTLP
/// severity, members of a JSON line, pairs of a logfmt line, words of the text.
///
/// Source: grafana/loki, documented behaviour of `discover_log_levels` (`docs/`, and the table in
/// the public level-detection cases). Nothing is allocated.
package struct LevelDetection: Sendable {
    /// Label, metadata and field names that hold a level, best first.
    package var fields: [StaticString] { didSet { lengths = LevelDetection.lengths(fields) } }
    /// Lengths of the fields' names, a bit each, the last for all beyond: most names are told from
    /// them by it alone.
    private var lengths: UInt64
    /// Objects in a JSON line that are searched, one in another.
    package var maxJSONDepth = 2

    package init(fields: [StaticString] = LevelDetection.defaultFields) {
        self.fields = fields
        lengths = LevelDetection.lengths(fields)
    }

    private static func lengths(_ fields: [StaticString]) -> UInt64 {
        fields.reduce(0) { $0 | 1 &<< UInt64(min(63, $1.utf8CodeUnitCount)) }
    }

    private func mayBeField(_ name: UnsafeRawBufferPointer) -> Bool {
        lengths & 1 &<< UInt64(min(63, name.count)) != 0
    }

    package static let defaultFields: [StaticString] = [
        "level", "LEVEL", "Level", "severity", "SEVERITY", "Severity", "lvl", "LVL", "Lvl",
        "log.level", "log_level",
    ]

    /// Level in stream labels, or nil.
    package func level(ofLabels labels: UnsafeRawBufferPointer) -> DetectedLevel? {
        var best = fields.count
        var found: UnsafeRawBufferPointer?
        forEachLabel(in: labels) { name, value in
            guard mayBeField(name) else { return }
            if let rank = fields.firstIndex(where: { equalBytes(name, $0.bytes) }), rank < best {
                best = rank
                found = value
            }
        }
        return found.map { DetectedLevel(value: $0) }
    }

    /// Level in structured metadata, or nil: the fields, then `severity_number` (one that is no
    /// number means info), then `severity_text` where it names a level.
    package func level(ofMetadata metadata: UnsafeRawBufferPointer) -> DetectedLevel? {
        if metadata.isEmpty { return nil }
        if let level = level(ofLabels: metadata) { return level }
        if let number = labelValue(of: StaticString("severity_number").bytes, in: metadata) {
            guard let value = parseInt64(number) else { return .level(.info) }
            return .level(LogLevel(severityNumber: value))
        }
        return labelValue(of: StaticString("severity_text").bytes, in: metadata)
            .flatMap { LogLevel(named: $0) }.map { .level($0) }
    }

    /// Level in the line itself; `.unknown` when it tells none.
    package func level(ofLine line: UnsafeRawBufferPointer) -> LogLevel {
        var value: UnsafeRawBufferPointer?
        if isJSONObject(line) {
            value = jsonValue(line)
        } else {
            value = logfmtValue(line)
        }
        return value.flatMap { LogLevel(named: $0) } ?? LevelDetection.level(ofText: line)
    }

    // MARK: JSON

    private func isJSONObject(_ line: UnsafeRawBufferPointer) -> Bool {
        guard let first = line.first(where: { $0 > 0x20 }), first == UInt8(ascii: "{") else {
            return false
        }
        return line.last { $0 > 0x20 } == UInt8(ascii: "}")
    }

    /// First string member with the name of a field, in the order of the text. What comes after
    /// it need not be JSON.
    private func jsonValue(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var reader = JSONReader(line, maxDepth: 64)
        do throws(MalformedJSON) {
            return try jsonValue(&reader, depth: 1)
        } catch {
            // Not JSON after all: its words are looked at instead.
            return nil
        }
    }

    private func jsonValue(
        _ reader: inout JSONReader, depth: Int
    ) throws(MalformedJSON) -> UnsafeRawBufferPointer? {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            switch try reader.peek() {
            case .string:
                let value = try reader.string()
                if mayBeField(key.raw),
                    fields.contains(where: {
                        key.raw.count == $0.utf8CodeUnitCount && key.equals($0)
                    })
                {
                    return value.raw
                }
            case .object where depth < maxJSONDepth:
                if let found = try jsonValue(&reader, depth: depth + 1) { return found }
            default: try reader.skipValue()
            }
        }
        return nil
    }

    // MARK: logfmt

    /// Value of the best field among the line's `key=value` pairs, whose keys may have any case. A
    /// quote that begins no value ends the search.
    private func logfmtValue(_ line: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var best = fields.count
        var found: UnsafeRawBufferPointer?
        var i = 0
        while i < line.count {
            // What stands before the sign and is no key matters only where it has a quote.
            let rest = UnsafeRawBufferPointer(rebasing: line[i...])
            let sign = i &+ findEither(UInt8(ascii: "="), UInt8(ascii: "\""), in: rest)
            guard sign < line.count, line[sign] == UInt8(ascii: "=") else { return found }
            var keyStart = sign
            while keyStart > i, line[keyStart &- 1] > 0x20 { keyStart &-= 1 }
            let key = UnsafeRawBufferPointer(rebasing: line[keyStart..<sign])
            var valueStart = sign &+ 1
            let valueEnd: Int
            if valueStart < line.count, line[valueStart] == UInt8(ascii: "\"") {
                valueStart &+= 1
                valueEnd = LevelDetection.closingQuote(line, valueStart)
                i = min(valueEnd &+ 1, line.count)
            } else {
                i = valueStart
                while i < line.count, line[i] > 0x20 { i &+= 1 }
                valueEnd = i
            }
            guard mayBeField(key),
                let rank = fields[..<best].firstIndex(where: { equalFolded(key, $0.bytes) })
            else { continue }
            best = rank
            found = UnsafeRawBufferPointer(rebasing: line[valueStart..<valueEnd])
            if rank == 0 { break }
        }
        return found
    }

    /// Offset of the quote that ends a string whose inside begins at `start`, the line's count where
    /// none does.
    private static func closingQuote(_ line: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var i = start
        while i < line.count {
            let rest = UnsafeRawBufferPointer(rebasing: line[i...])
            i &+= findEither(UInt8(ascii: "\""), UInt8(ascii: "\\"), in: rest)
            if i >= line.count || line[i] == UInt8(ascii: "\"") { break }
            i &+= 2
        }
        return min(i, line.count)
    }

    // MARK: words

    /// The first level named as a word of its own.
    ///
    /// A word ends at anything but a letter, a digit or one of `_ - / \ @`; a dot or colon ends it
    /// only when no word goes on behind it, and none begins behind them: `misc:error`,
    /// `/api/error-handler` and `pkg.error.Type` name no level. A colour code before it is no part
    /// of a word.
    static func level(ofText line: UnsafeRawBufferPointer) -> LogLevel {
        var i = findLevelName(in: line, from: 0)
        while i < line.count {
            if startsWord(line, at: i), let (level, length) = word(line, at: i),
                endsWord(line, at: i &+ length)
            {
                return level
            }
            i = findLevelName(in: line, from: i &+ 1)
        }
        return .unknown
    }

    private static let words: [(StaticString, LogLevel)] = [
        ("trace", .trace), ("debug", .debug), ("fatal", .fatal), ("critical", .critical),
        ("error", .error), ("err", .error), ("warning", .warn), ("warn", .warn), ("info", .info),
    ]

    private static func word(
        _ line: UnsafeRawBufferPointer, at i: Int
    ) -> (level: LogLevel, length: Int)? {
        for (name, level) in words {
            let n = name.utf8CodeUnitCount
            guard i &+ n <= line.count, line[i] | 0x20 == name.utf8Start[0],
                equalFolded(UnsafeRawBufferPointer(rebasing: line[i..<(i &+ n)]), name.bytes)
            else { continue }
            // "err" also begins "error": the longer word comes first, so what goes on is no level.
            return (level, n)
        }
        return nil
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
            UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "@"):
            true
        default: false
        }
    }

    private static func startsWord(_ line: UnsafeRawBufferPointer, at i: Int) -> Bool {
        guard i > 0 else { return true }
        let before = line[i &- 1]
        if before == UInt8(ascii: ":") || before == UInt8(ascii: ".") { return false }
        guard isWordByte(before) else { return true }
        guard before == UInt8(ascii: "m") else { return false }
        // ESC [ digits and semicolons m: a colour.
        var j = i &- 2
        while j >= 0, line[j] &- UInt8(ascii: "0") < 10 || line[j] == UInt8(ascii: ";") { j &-= 1 }
        return j > 0 && line[j] == UInt8(ascii: "[") && line[j &- 1] == 0x1b
    }

    private static func endsWord(_ line: UnsafeRawBufferPointer, at i: Int) -> Bool {
        guard i < line.count else { return true }
        // A backslash behind it comes before the closing quote of JSON in a string.
        if isWordByte(line[i]), line[i] != UInt8(ascii: "\\") { return false }
        // "error." ends a sentence, "error.go" does not.
        return line[i] != UInt8(ascii: ".") || i &+ 1 >= line.count || !isWordByte(line[i &+ 1])
    }
}

/// Whether two texts are the same but for the case of ASCII letters.
func equalFolded(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    for i in 0..<a.count {
        let x = a[i], y = b[i]
        if x == y { continue }
        let folded = x | 0x20
        guard folded == y | 0x20, folded >= UInt8(ascii: "a"), folded <= UInt8(ascii: "z") else {
            return false
        }
    }
    return true
}
