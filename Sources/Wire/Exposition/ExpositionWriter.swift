// SPDX-License-Identifier: Apache-2.0
// Text exposition, written.

import Base
import Telemetry

/// Writes what `ExpositionParser` reads: `/metrics` and `/federate`.
///
/// The caller writes a family's metadata before its samples and keeps a family together; the
/// writer escapes and quotes. Names outside `[a-zA-Z_:][a-zA-Z0-9_:]*` are written in braces and
/// quotes, which text 1.0.0 and OpenMetrics 1.0 with `escaping=allow-utf-8` allow.
///
/// Source: prometheus/docs "Exposition formats"; OpenMetrics 1.0; prometheus/common `expfmt`.
package struct ExpositionWriter: Sendable {
    package var bytes: [UInt8] = []
    package let format: ExpositionFormat

    package init(_ format: ExpositionFormat = .text, reserving capacity: Int = 4096) {
        self.format = format
        bytes.reserveCapacity(capacity)
    }

    /// `# HELP`, `# TYPE` and, in OpenMetrics, `# UNIT` of a family; empty texts are left out.
    ///
    /// Types that the text format does not know come as the nearest one that it knows. In
    /// OpenMetrics a counter's family is named without the `_total` of its samples.
    package mutating func family(
        _ name: String, _ type: MetricType, help: String = "", unit: String = ""
    ) {
        var name = name
        if format == .openMetrics, type == .counter, name.hasSuffix("_total") {
            name.removeLast("_total".count)
        }
        if !help.isEmpty {
            line("HELP", name)
            var help = help
            help.withUTF8 {
                escape(UnsafeRawBufferPointer($0), quotes: format == .openMetrics)
            }
            bytes.append(UInt8(ascii: "\n"))
        }
        line("TYPE", name)
        append(typeText(type))
        bytes.append(UInt8(ascii: "\n"))
        if format == .openMetrics, !unit.isEmpty {
            line("UNIT", name)
            append(unit)
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    private mutating func line(_ word: StaticString, _ name: String) {
        append("# ")
        bytes.append(contentsOf: word.bytes)
        bytes.append(UInt8(ascii: " "))
        var name = name
        name.withUTF8 { text in
            let text = UnsafeRawBufferPointer(text)
            if isLegacyMetricName(text) { bytes.append(contentsOf: text) } else { quote(text) }
        }
        bytes.append(UInt8(ascii: " "))
    }

    private func typeText(_ type: MetricType) -> String {
        if format == .openMetrics { return type.text }
        return switch type {
        case .unknown: "untyped"
        case .counter: "counter"
        case .gauge, .info, .stateSet: "gauge"
        case .histogram, .gaugeHistogram: "histogram"
        case .summary: "summary"
        }
    }

    /// A sample of a series given by canonical label bytes, `__name__` among them.
    ///
    /// - Parameter millis: written when given; seconds in OpenMetrics.
    package mutating func sample(
        canonical labels: UnsafeRawBufferPointer, _ value: Double, millis: Int64? = nil
    ) {
        let name = labelValue(of: StaticString("__name__").bytes, in: labels)
        let isLegacy = name.map(isLegacyMetricName) ?? false
        if let name, isLegacy { bytes.append(contentsOf: name) }
        var isOpen = false
        if let name, !isLegacy {
            bytes.append(UInt8(ascii: "{"))
            quote(name)
            isOpen = true
        }
        forEachLabel(in: labels) { key, text in
            if equalBytes(key, StaticString("__name__").bytes) { return }
            bytes.append(UInt8(ascii: isOpen ? "," : "{"))
            isOpen = true
            if isLegacyLabel(key) { bytes.append(contentsOf: key) } else { quote(key) }
            bytes.append(UInt8(ascii: "="))
            quote(text)
        }
        if isOpen { bytes.append(UInt8(ascii: "}")) }
        end(value, millis)
    }

    /// A sample of a series given by name and labels: for the process's own metrics.
    package mutating func sample(
        _ name: String, _ labels: [(name: String, value: String)] = [], _ value: Double,
        millis: Int64? = nil
    ) {
        let labels = Labels([("__name__", name)] + labels)
        labels.bytes.withUnsafeBytes { sample(canonical: $0, value, millis: millis) }
    }

    private mutating func end(_ value: Double, _ millis: Int64?) {
        bytes.append(UInt8(ascii: " "))
        if format == .openMetrics {
            appendOpenMetricsFloat(value, into: &bytes)
        } else {
            appendFloatGeneral(value, into: &bytes)
        }
        if let millis {
            bytes.append(UInt8(ascii: " "))
            appendTime(millis)
        }
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func appendTime(_ millis: Int64) {
        guard format == .openMetrics else {
            appendDecimal(millis, into: &bytes)
            return
        }
        if millis < 0 { bytes.append(UInt8(ascii: "-")) }
        let (seconds, rest) = millis.magnitude.quotientAndRemainder(dividingBy: 1000)
        appendDecimal(Int64(seconds), into: &bytes)
        bytes.append(UInt8(ascii: "."))
        let digits = [rest / 100, rest / 10 % 10, rest % 10]
        for digit in digits { bytes.append(UInt8(ascii: "0") + UInt8(digit)) }
    }

    /// Ends the exposition: OpenMetrics demands a last line.
    package mutating func finish() {
        if format == .openMetrics { append("# EOF\n") }
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func quote(_ text: UnsafeRawBufferPointer) {
        bytes.append(UInt8(ascii: "\""))
        escape(text, quotes: true)
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func escape(_ text: UnsafeRawBufferPointer, quotes: Bool) {
        for byte in text {
            switch byte {
            case UInt8(ascii: "\\"): append(#"\\"#)
            case UInt8(ascii: "\n"): append(#"\n"#)
            case UInt8(ascii: "\"") where quotes: append(#"\""#)
            default: bytes.append(byte)
            }
        }
    }

    private func isLegacyMetricName(_ name: UnsafeRawBufferPointer) -> Bool {
        isLegacy(name, colons: true)
    }

    private func isLegacyLabel(_ name: UnsafeRawBufferPointer) -> Bool {
        isLegacy(name, colons: false)
    }

    private func isLegacy(_ name: UnsafeRawBufferPointer, colons: Bool) -> Bool {
        guard let first = name.first, first &- UInt8(ascii: "0") >= 10 else { return false }
        return name.allSatisfy { byte in
            byte &- UInt8(ascii: "0") < 10 || (byte | 0x20) &- UInt8(ascii: "a") < 26
                || byte == UInt8(ascii: "_") || colons && byte == UInt8(ascii: ":")
        }
    }
}
