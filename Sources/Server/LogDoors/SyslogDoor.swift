// SPDX-License-Identifier: Apache-2.0
// Syslog over TCP, TLS and UDP.

import Base
import Glibc
import Wire

/// Writes syslog messages, however they came.
struct SyslogSink: Sendable {
    /// Bytes of a message.
    static let maxMessageBytes = 1 << 20

    let writer: PatientLogWriter
    /// What the local time of senders is ahead of UTC at a time of arrival (nanoseconds since 1970),
    /// in seconds.
    var offsetSeconds: @Sendable (Int64) -> Int = { localOffsetSeconds(nanos: $0) }

    func write(_ block: MessageBlock) async throws {
        if block.messages.isEmpty { return }
        try await writer.write(block.bytes.count, from: .syslog) { now, limits in
            var options = Syslog.Options(nowNanos: now)
            options.limits = limits
            options.offsetSeconds = offsetSeconds(now)
            return try block.bytes.withUnsafeBytes {
                try Syslog.decode($0, messages: block.messages, options)
            }
        }
    }
}

/// What this machine's local time (`TZ`, else /etc/localtime) is ahead of UTC, in seconds.
private func localOffsetSeconds(nanos: Int64) -> Int {
    var seconds = time_t(nanos / 1_000_000_000)
    var local = tm()
    return localtime_r(&seconds, &local) == nil ? 0 : local.tm_gmtoff
}

/// One connection of a syslog sender.
struct SyslogConversation: StreamConversation {
    let sink: SyslogSink
    let greeting: [UInt8] = []
    private var pending: [UInt8] = []

    init(_ sink: SyslogSink) { self.sink = sink }

    mutating func take(_ bytes: [UInt8], isAtEnd: Bool) async throws -> [UInt8] {
        pending += bytes
        var block = MessageBlock()
        var taken = 0
        try pending.withUnsafeBytes { all in
            while true {
                switch SyslogFraming.next(
                    in: all, from: taken, isAtEnd: isAtEnd, limit: SyslogSink.maxMessageBytes)
                {
                case .message(let range, let next):
                    block.messages.append(range)
                    taken = next
                case .incomplete: return
                case .tooLong:
                    throw RefusedStream(
                        description: "message of more than \(SyslogSink.maxMessageBytes) bytes")
                }
            }
        }
        if block.messages.isEmpty { return [] }
        block.bytes = Array(pending[..<taken])
        pending.removeSubrange(..<taken)
        try await sink.write(block)
        return []
    }
}
