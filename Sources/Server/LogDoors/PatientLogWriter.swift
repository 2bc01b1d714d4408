// SPDX-License-Identifier: Apache-2.0
// Writes log lines of senders that are not told when there is no room.

import Base
import Ingest
import Logging
import Telemetry
import Wire

/// Writes lines and returns once they are durable. While the server cannot take them it tries again,
/// so that a connection's sender is held up instead of losing data. These protocols have no tenant:
/// what they bring belongs to `anonymous`.
struct PatientLogWriter: Sendable {
    let startup: Startup
    let clock: any Clock
    let logger: Logger
    var counters: LogDoorCounters { startup.logDoors }

    /// - Parameters:
    ///   - byteCount: of what came.
    ///   - decode: makes lines of it at a time of arrival, in nanoseconds since 1970, within limits.
    /// - Throws: what `decode` throws; `CancellationError` when the server stops meanwhile.
    func write(
        _ byteCount: Int, from door: LogDoor,
        _ decode: @escaping @Sendable (Int64, LogLimits) throws -> DecodedLogs
    ) async throws {
        let now = clock.wallNanos
        while true {
            guard let core = startup.core else {
                try await clock.sleep(seconds: 0.1)
                continue
            }
            let writer = LogDoorWriter(
                pipeline: core.pipeline, clock: clock, counters: counters,
                lineLimits: core.lineLimits)
            let limits = core.lineLimits.limits(of: .anonymous)
            do {
                try await core.pipeline.perform(bytes: byteCount) {
                    let decoded = try decode(now, limits)
                    let report = try await writer.write(decoded, from: door, .anonymous)
                    let problems = [decoded.message, report.refusals.summary]
                        .filter { !$0.isEmpty }
                    if !problems.isEmpty {
                        logger.debug(
                            "\(door.rawValue) lines refused",
                            metadata: ["reason": "\(problems.joined(separator: "; "))"])
                    }
                }
                return
            } catch let error as IngestError {
                let seconds: Int
                switch error {
                case .unavailable(_, let after), .overloaded(let after): seconds = after
                }
                logger.debug("\(door.rawValue) lines wait", metadata: ["reason": "\(error)"])
                try await clock.sleep(seconds: Double(max(1, seconds)))
            }
        }
    }
}
