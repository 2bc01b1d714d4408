// SPDX-License-Identifier: Apache-2.0
// A place in a program.

import Base
import Telemetry

/// A place in a program, as a span or a log line names it. What is not named is nil.
package struct CodeLocation: Sendable, Hashable {
    /// Path, file name or, where the source names only that, class.
    package var file: String?
    /// From 1.
    package var line: Int?
    package var function: String?
    /// The text it was read from, or the attributes put together.
    package var raw: String

    package init(file: String?, line: Int?, function: String?, raw: String) {
        self.file = file
        self.line = line
        self.function = function
        self.raw = raw
    }

    /// From fields that follow OpenTelemetry's semantic conventions, present or past:
    /// `code.file.path` (`code.filepath`), `code.line.number` (`code.lineno`), `code.function.name`
    /// (`code.function` with `code.namespace`), else the top of `code.stacktrace`. Source:
    /// open-telemetry/semantic-conventions `docs/registry/attributes/code.md`.
    ///
    /// - Parameter value: of a name with dots; names with underscores are its own business.
    init?(conventions value: (String) -> String?) {
        let file = value("code.file.path") ?? value("code.filepath")
        let line = (value("code.line.number") ?? value("code.lineno")).flatMap { Int($0) }
        var function = value("code.function.name") ?? value("code.function")
        if let namespace = value("code.namespace"), !namespace.isEmpty {
            function = function.map { $0.hasPrefix(namespace) ? $0 : namespace + "." + $0 }
        }
        if file == nil, function == nil {
            guard let trace = value("code.stacktrace"), let frame = topFrame(ofStackTrace: trace)
            else { return nil }
            self = frame
            return
        }
        let place = file.map { file in line.map { "\(file):\($0)" } ?? file }
        self.init(
            file: file, line: line, function: function,
            raw: [place, function].compactMap { $0 }.joined(separator: " "))
    }

    /// From `path:12` or `path:12:5`; nil when there is no number.
    init?(fileAndLine text: some StringProtocol, function: String? = nil) {
        var parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count >= 2, let last = parts.popLast(), let number = Int(last), number > 0
        else { return nil }
        var line = number
        if parts.count >= 2, let before = parts.last, let earlier = Int(before), earlier > 0 {
            line = earlier
            parts.removeLast()
        }
        let file = parts.joined(separator: ":")
        guard !file.isEmpty, !file.contains(where: \.isNewline) else { return nil }
        self.init(file: file, line: line, function: function, raw: String(text))
    }
}

extension CodeLocation {
    /// Of a span: its attributes, else the top frame of the first exception among its events.
    package init?(
        spanAttributes: [(key: String, value: AttributeValue)], events: [SpanEvent]
    ) {
        func value(_ name: String) -> String? {
            spanAttributes.first { $0.key == name }?.value.scalarText
        }
        if let found = CodeLocation(conventions: value) {
            self = found
            return
        }
        if let text = value("exception.stacktrace"), let frame = topFrame(ofStackTrace: text) {
            self = frame
            return
        }
        for event in events {
            let attributes = event.attributes.withUnsafeBytes { bytes in
                // An event that cannot be decoded names no place.
                (try? AttributeCoding.decodeList(bytes)) ?? []
            }
            let text = attributes.first { $0.key == "exception.stacktrace" }?.value.scalarText
            if let text, let frame = topFrame(ofStackTrace: text) {
                self = frame
                return
            }
        }
        return nil
    }
}

extension AttributeValue {
    /// Text of a string or a number.
    fileprivate var scalarText: String? {
        switch self {
        case .string(let text): text
        case .int(let number): String(number)
        default: nil
        }
    }
}
