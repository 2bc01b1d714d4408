// SPDX-License-Identifier: Apache-2.0
// InfluxDB line protocol as samples.

import Base
import Telemetry

/// `measurement,tag=value field=1,other=2i 1700000000000000000` lines, as InfluxDB 1.x and 2.x take
/// them.
///
/// A numeric or boolean field becomes a sample of the series `measurement_field` with the tags as
/// labels; names and tags stay as they are. Fields that are text are left out and counted: a
/// series holds numbers. Good lines count even when others are bad.
///
/// Source: InfluxDB documentation, "Line protocol reference"; names and the `db` label as in
/// VictoriaMetrics `docs/victoriametrics/integrations/influxdb.md`.
package enum InfluxLines {
    /// Unit of timestamps. Raw values are those of the `precision` parameter.
    package enum Precision: String, Sendable {
        case nanoseconds = "ns"
        case microseconds = "us"
        case milliseconds = "ms"
        case seconds = "s"
        case minutes = "m"
        case hours = "h"

        /// Also takes `n`, `u` and `µ`, as 1.x does.
        package init?(parameter: String) {
            switch parameter {
            case "n": self = .nanoseconds
            case "u", "µ": self = .microseconds
            default: self.init(rawValue: parameter)
            }
        }
    }

    package struct Options: Sendable {
        /// Nil guesses the unit by the size of each number: it is seconds up to the year 5138 and
        /// milliseconds, microseconds and nanoseconds since 1973.
        package var precision: Precision?
        /// Value of the label `db` where no tag has that name; empty = none.
        package var database = ""
        /// Time of lines without one.
        package var nowMillis: Int64
        /// Labels of every series, replacing tags of the same name.
        package var extraLabels: [(name: String, value: String)] = []
        package var limits = MetricDecodingLimits()

        package init(nowMillis: Int64) { self.nowMillis = nowMillis }
    }

    /// Decodes a body. Never fails as a whole; see `LineBatch`.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, _ options: Options
    ) -> LineBatch {
        var decoder = InfluxDecoder(bytes, options)
        decoder.run()
        return decoder.finish()
    }

    /// A timestamp in milliseconds; nil when it does not fit.
    static func millis(_ value: Int64, _ precision: Precision?) -> Int64? {
        switch precision ?? guess(value) {
        case .nanoseconds: return value / 1_000_000
        case .microseconds: return value / 1000
        case .milliseconds: return value
        case .seconds: return times(value, 1000)
        case .minutes: return times(value, 60_000)
        case .hours: return times(value, 3_600_000)
        }
    }

    private static func times(_ value: Int64, _ factor: Int64) -> Int64? {
        let (result, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow ? nil : result
    }

    private static func guess(_ value: Int64) -> Precision {
        switch value.magnitude {
        case 0..<100_000_000_000: .seconds
        case 0..<100_000_000_000_000: .milliseconds
        case 0..<100_000_000_000_000_000: .microseconds
        default: .nanoseconds
        }
    }
}

private struct InfluxDecoder: ~Copyable {
    private struct Field {
        /// Place in `names`.
        var name: Range<Int>
        var value: Double
    }

    private let options: InfluxLines.Options
    private let extraNames: Set<String>
    private var collector: LineCollector
    private var cursor: InfluxCursor
    private var fields: [Field] = []
    private var names: [UInt8] = []
    private var measurement: [UInt8] = []
    private var scratch: [UInt8] = []
    private var tagName: [UInt8] = []
    private var texts = 0

    init(_ bytes: UnsafeRawBufferPointer, _ options: InfluxLines.Options) {
        cursor = InfluxCursor(bytes)
        self.options = options
        extraNames = Set(options.extraLabels.map(\.name))
        collector = LineCollector(limits: options.limits, bodyBytes: bytes.count)
    }

    consuming func finish() -> LineBatch { collector.finish() }

    mutating func run() {
        while cursor.offset < cursor.bytes.count {
            let first = cursor.line
            cursor.skipBlanks()
            guard let byte = cursor.peek else { return }
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "#") {
                cursor.skipLine()
                continue
            }
            do throws(LineProblem) {
                try readLine()
            } catch {
                collector.result.reject(line: first, error.message)
            }
            cursor.skipLine()
        }
    }

    private mutating func readLine() throws(LineProblem) {
        measurement.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
        names.removeAll(keepingCapacity: true)
        collector.labels.reset()
        texts = 0
        cursor.readText(until: ",", " ", into: &measurement)
        try readTags()
        try collector.sealLabels()
        try readFields()
        let millis = try readTime()
        try collector.checkRoom(fields.count)
        if !measurement.isEmpty { measurement.append(UInt8(ascii: "_")) }
        let prefix = measurement.count
        collector.result.skippedTexts += texts
        for field in fields {
            measurement.removeLast(measurement.count - prefix)
            measurement.append(contentsOf: names[field.name])
            let problem = measurement.withUnsafeBytes {
                collector.add($0, millis: millis, value: field.value)
            }
            if let problem { throw problem }
        }
    }

    private mutating func readTags() throws(LineProblem) {
        var hasDatabase = false
        while cursor.peek == UInt8(ascii: ",") {
            cursor.offset += 1
            tagName.removeAll(keepingCapacity: true)
            scratch.removeAll(keepingCapacity: true)
            let plainName = cursor.plainText(until: "=", " ")
            if plainName == nil { cursor.readText(until: "=", " ", into: &tagName) }
            guard cursor.peek == UInt8(ascii: "=") else { throw LineProblem("missing tag value") }
            cursor.offset += 1
            let plainValue = cursor.plainText(until: ",", " ")
            if plainValue == nil { cursor.readText(until: ",", " ", into: &scratch) }
            if plainName?.isEmpty ?? tagName.isEmpty { throw LineProblem("missing tag key") }
            tagName.withUnsafeBytes { name in
                scratch.withUnsafeBytes { value in
                    if addTag(plainName ?? name, plainValue ?? value) { hasDatabase = true }
                }
            }
        }
        if !hasDatabase, !extraNames.contains("db") { add("db", options.database) }
        for label in options.extraLabels { add(label.name, label.value) }
    }

    /// Whether a tag was the database.
    private mutating func addTag(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) -> Bool {
        // Telegraf leaves tags without a value in; they say nothing.
        if value.isEmpty { return false }
        if !extraNames.isEmpty, extraNames.contains(String(decoding: name, as: UTF8.self)) {
            return false
        }
        collector.labels.add(name, value)
        return equalBytes(name, StaticString("db").bytes)
    }

    private mutating func add(_ name: String, _ value: String) {
        guard !value.isEmpty else { return }
        var name = name, value = value
        name.withUTF8 { name in
            value.withUTF8 {
                collector.labels.add(UnsafeRawBufferPointer(name), UnsafeRawBufferPointer($0))
            }
        }
    }

    private mutating func readFields() throws(LineProblem) {
        guard cursor.peek == UInt8(ascii: " ") else { throw LineProblem("missing fields") }
        cursor.skipBlanks()
        while true {
            let start = names.count
            if let plain = cursor.plainText(until: "=", " ") {
                names.append(contentsOf: plain)
            } else {
                cursor.readText(until: "=", " ", into: &names)
            }
            let name = start..<names.count
            guard cursor.peek == UInt8(ascii: "="), !name.isEmpty else {
                throw LineProblem("missing field key or value")
            }
            cursor.offset += 1
            if cursor.peek == UInt8(ascii: "\"") {
                try cursor.skipQuoted()
                texts += 1
            } else {
                let start = cursor.offset
                while let byte = cursor.peek, byte != UInt8(ascii: ","), byte != UInt8(ascii: " "),
                    byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r")
                { cursor.offset += 1 }
                let text = UnsafeRawBufferPointer(rebasing: cursor.bytes[start..<cursor.offset])
                fields.append(Field(name: name, value: try number(text)))
            }
            guard cursor.peek == UInt8(ascii: ",") else { return }
            cursor.offset += 1
        }
    }

    private func number(_ text: UnsafeRawBufferPointer) throws(LineProblem) -> Double {
        guard let last = text.last else { throw LineProblem("field without a value") }
        switch last {
        case UInt8(ascii: "i"), UInt8(ascii: "u"):
            let digits = UnsafeRawBufferPointer(rebasing: text.dropLast())
            if last == UInt8(ascii: "i"), let value = parseInteger(digits, as: Int64.self) {
                return Double(value)
            }
            if last == UInt8(ascii: "u"), let value = parseInteger(digits, as: UInt64.self) {
                return Double(value)
            }
            throw LineProblem(notANumber(text))
        case UInt8(ascii: "t"), UInt8(ascii: "T"), UInt8(ascii: "f"), UInt8(ascii: "F"),
            UInt8(ascii: "e"), UInt8(ascii: "E"):
            switch String(decoding: text, as: UTF8.self) {
            case "t", "T", "true", "True", "TRUE": return 1
            case "f", "F", "false", "False", "FALSE": return 0
            default: throw LineProblem(notANumber(text))
            }
        default:
            guard let value = parseFloat(text), value.isFinite else {
                throw LineProblem(notANumber(text))
            }
            return value
        }
    }

    private mutating func readTime() throws(LineProblem) -> Int64 {
        cursor.skipBlanks()
        let start = cursor.offset
        while let byte = cursor.peek, byte != UInt8(ascii: "\n") { cursor.offset += 1 }
        var text = cursor.bytes[start..<cursor.offset]
        while let last = text.last, last == UInt8(ascii: " ") || last == UInt8(ascii: "\r") {
            text = text.dropLast()
        }
        if text.isEmpty { return options.nowMillis }
        let digits = UnsafeRawBufferPointer(rebasing: text)
        guard let value = parseInteger(digits, as: Int64.self),
            let millis = InfluxLines.millis(value, options.precision)
        else { throw LineProblem("bad timestamp: \(notANumber(digits))") }
        return millis
    }
}

/// A place in a body of lines.
private struct InfluxCursor {
    let bytes: UnsafeRawBufferPointer
    var offset = 0
    /// Number of the line, from 1.
    var line = 1

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    mutating func skipBlanks() {
        while let byte = peek, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\r") {
            offset += 1
        }
    }

    mutating func skipLine() {
        while let byte = peek {
            offset += 1
            if byte == UInt8(ascii: "\n") {
                line += 1
                return
            }
        }
    }

    /// Steps over a text as `readText` would and returns it where it lies; nil, with nothing read,
    /// where it has a backslash.
    mutating func plainText(
        until a: Unicode.Scalar, _ b: Unicode.Scalar
    ) -> UnsafeRawBufferPointer? {
        let first = UInt8(ascii: a), second = UInt8(ascii: b)
        var end = offset
        while end < bytes.count {
            let byte = bytes[end]
            if byte == first || byte == second || byte == UInt8(ascii: "\n") { break }
            if byte == UInt8(ascii: "\\") { return nil }
            end &+= 1
        }
        let text = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
        offset = end
        return text
    }

    /// Reads up to one of two delimiters or the end of the line, escapes resolved: a backslash
    /// before a comma, blank, equals sign or backslash stands for that.
    mutating func readText(
        until a: Unicode.Scalar, _ b: Unicode.Scalar, into out: inout [UInt8]
    ) {
        let first = UInt8(ascii: a), second = UInt8(ascii: b)
        while let byte = peek, byte != first, byte != second, byte != UInt8(ascii: "\n") {
            offset += 1
            if byte == UInt8(ascii: "\\"), let next = peek, isEscapable(next) {
                out.append(next)
                offset += 1
            } else {
                out.append(byte)
            }
        }
    }

    private func isEscapable(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == UInt8(ascii: " ") || byte == UInt8(ascii: "=")
            || byte == UInt8(ascii: "\\")
    }

    /// Steps over a text in quotes, which may hold line ends. Without a closing quote the cursor
    /// stays, so that the next line counts: no quote after this one can be another opening one, so
    /// the body is searched to its end once only.
    mutating func skipQuoted() throws(LineProblem) {
        let start = self
        offset += 1
        while let byte = peek {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""): return
            case UInt8(ascii: "\n"): line += 1
            case UInt8(ascii: "\\") where offset < bytes.count && bytes[offset] != 10: offset += 1
            default: break
            }
        }
        self = start
        throw LineProblem("missing closing quote")
    }
}
