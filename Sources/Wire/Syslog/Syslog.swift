// SPDX-License-Identifier: Apache-2.0
// Syslog messages of both formats.

import Base
import Telemetry

/// RFC 5424 and RFC 3164 messages as log lines.
///
/// The MSG is the line; host and app name are stream labels beside `job="syslog"`; facility,
/// severity, process id, message id and structured data (`SD-ID.PARAM`) are structured metadata. A
/// text that is neither format is a line as it stands: nothing is refused for its form. Source: RFC
/// 5424, 6; RFC 3164, 4 and 5; for RFC 3339 times in the older format rsyslog's
/// `RSYSLOG_ForwardFormat`.
package enum Syslog {
    package struct Options: Sendable {
        /// Time of arrival, in nanoseconds since 1970.
        package var nowNanos: Int64
        /// What RFC 3164 times, which name no zone, are ahead of UTC, in seconds.
        package var offsetSeconds = 0
        package var limits = LogLimits()
        package var mapping = Syslog.mapping

        package init(nowNanos: Int64) { self.nowNanos = nowNanos }
    }

    /// Labels of the streams.
    package static let mapping: LogRecordMapping = {
        var mapping = LogRecordMapping()
        mapping.streamFields = ["hostname", "app_name"]
        mapping.messageFields = []
        mapping.timeFields = []
        mapping.labels = [.init("job", "syslog")]
        return mapping
    }()

    /// Bytes of messages in one, and where each lies.
    ///
    /// - Throws: `MalformedBytes` when they take more memory than the limits allow.
    package static func decode(
        _ bytes: UnsafeRawBufferPointer, messages: [Range<Int>], _ options: Options
    ) throws(MalformedBytes) -> DecodedLogs {
        var assembly = RecordAssembly(
            options.mapping, receivedNanos: options.nowNanos, limits: options.limits)
        assembly.logs.result.batch.arena.reserveCapacity(2 * bytes.count)
        for range in messages {
            var text = UnsafeRawBufferPointer(rebasing: bytes[range])
            while let last = text.last, last == 0x0a || last == 0x0d || last == 0 {
                text = UnsafeRawBufferPointer(rebasing: text.dropLast())
            }
            if text.isEmpty { continue }
            decode(text, options, &assembly)
            try assembly.checkSize()
        }
        return assembly.logs.result
    }

    private static func decode(
        _ text: UnsafeRawBufferPointer, _ options: Options, _ assembly: inout RecordAssembly
    ) {
        assembly.begin()
        var scanner = SyslogScanner(text)
        let priority = scanner.priority()
        if let priority {
            assembly.add("facility", facilities[priority >> 3].bytes)
            assembly.add("severity", severities[priority & 7].bytes)
        }
        let body = scanner
        var nanos = options.nowNanos
        if let time = scanner.header5424(&assembly) {
            nanos = time ?? nanos
        } else {
            scanner = body
            nanos = scanner.header3164(&assembly, options) ?? nanos
        }
        var message = scanner.rest
        if message.starts(with: [0xef, 0xbb, 0xbf]) {
            message = UnsafeRawBufferPointer(rebasing: message.dropFirst(3))
        }
        _ = assembly.endRecord(
            nanos: nanos, level: priority.map { level(severity: $0 & 7) }
        ) { $0.append(contentsOf: message) }
    }

    /// Names of the facilities by number. Source: RFC 5424, table 1; syslog(3).
    static let facilities: [StaticString] = [
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp", "ntp", "security", "console", "solaris-cron", "local0", "local1",
        "local2", "local3", "local4", "local5", "local6", "local7",
    ]
    /// Names of the severities by number.
    static let severities: [StaticString] = [
        "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
    ]

    /// What `detected_level` says of a severity, 0…7.
    static func level(severity: Int) -> LogLevel {
        switch severity {
        case 0: .fatal
        case 1, 2: .critical
        case 3: .error
        case 4: .warn
        case 7: .debug
        default: .info
        }
    }
}
