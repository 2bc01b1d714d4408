// SPDX-License-Identifier: Apache-2.0
// The server's log on standard error.

import Base
import Logging

/// Level and form of the server's own log.
package struct LogOptions: Sendable {
    package enum Format: String, Sendable { case logfmt, json }
    package var level: Logger.Level
    package var format: Format

    /// - Throws: `ConfigurationError` for a name that is none.
    package init(level: String, format: String) throws {
        guard let level = Logger.Level(rawValue: level == "warn" ? "warning" : level) else {
            throw ConfigurationError(
                "--log.level takes debug, info, warning or error, not \(level)")
        }
        guard let format = Format(rawValue: format) else {
            throw ConfigurationError("--log.format takes logfmt or json, not \(format)")
        }
        self.level = level
        self.format = format
    }

    func logger() -> Logger {
        let format = self.format
        var logger = Logger(label: "tern") { _ in LineLogHandler(format: format) }
        logger.logLevel = level
        return logger
    }
}

/// Writes one line an event: `ts=… level=… msg=… key=value`, or the same as JSON.
struct LineLogHandler: LogHandler {
    let format: LogOptions.Format
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]

    init(format: LogOptions.Format) { self.format = format }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields: [(String, String)] = [
            ("ts", rfc3339Text(nanos: SystemClock().wallNanos)),
            ("level", event.level == .warning ? "warn" : event.level.rawValue),
            ("msg", event.message.description),
        ]
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) where !key.hasPrefix("hb.") {
            fields.append((key, value.description))
        }
        var line: [UInt8]
        if format == .json {
            var json = JSONWriter()
            json.beginObject()
            for (key, value) in fields { json.member(key, value) }
            json.endObject()
            line = json.bytes
        } else {
            let text = fields.map { key, value in
                let plain = !value.isEmpty && !value.contains { " \"=\n\\".contains($0) }
                return key + "=" + (plain ? value : quotedText(value))
            }
            line = Array(text.joined(separator: " ").utf8)
        }
        line.append(UInt8(ascii: "\n"))
        writeToStandardError(line)
    }
}
