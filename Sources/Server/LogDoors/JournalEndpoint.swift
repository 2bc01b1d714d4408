// SPDX-License-Identifier: Apache-2.0
// /upload, as systemd-journal-upload sends.

import Base
import HTTPTypes
import Ingest
import Telemetry
import Wire

/// Takes a journal in systemd's export format, however long it is: entries are written while it
/// arrives, and the answer comes at its end. A sender that is cut off or refused begins again after
/// the last entry that it knows to be taken; lines that are stored already are dropped then. Source:
/// systemd-journal-upload(8), systemd `src/journal-remote/journal-upload.c`.
struct JournalEndpoint: Sendable {
    /// Bytes of lines from which they are written.
    private static let pieceBytes = 256 << 10
    /// Seconds after which they are written with the next that come.
    private static let pieceSeconds = 1.0

    let writer: LogDoorWriter

    static let paths = ["/upload", "/insert/journald/upload"]

    func routes() -> [Route] {
        Self.paths.map { Route(streamed: [.post, .put], $0, .plain, upload) }
    }

    private func upload(
        _ request: APIRequest, _ body: BodyPieces
    ) async throws -> APIResponse {
        guard request.mediaType == "application/vnd.fdo.journal" else {
            throw APIError(
                .unsupportedMediaType,
                "Content-Type \"\(request.mediaType)\" not supported: use "
                    + "application/vnd.fdo.journal")
        }
        let coding = trimmed(request.headers[.contentEncoding] ?? "").lowercased()
        guard coding.isEmpty || coding == "identity" else {
            throw APIError(
                .unsupportedMediaType, "Content-Encoding \"\(coding)\" not supported: send plain")
        }
        var reader = JournalExportReader(
            try request.recordMapping(JournalExportReader.mapping),
            receivedNanos: writer.clock.wallNanos,
            limits: writer.lineLimits.limits(of: request.tenant))
        var problems: [String] = []
        var refused = 0
        var writtenNanos = writer.clock.monotonicNanos
        do {
            try await body.forEach { bytes in
                try bytes.withUnsafeBytes { try reader.feed($0) }
                let now = writer.clock.monotonicNanos
                guard
                    reader.heldBytes >= Self.pieceBytes
                        || Double(now - writtenNanos) >= Self.pieceSeconds * 1e9
                else { return }
                refused += try await store(reader.take(), request, &problems)
                writtenNanos = now
            }
            if ConnectionWatch.current?.isLate == true {
                _ = try await store(reader.take(), request, &problems)
                throw APIError(.requestTimeout, "nothing more of the journal came in time")
            }
            try reader.finish()
        } catch let error as MalformedBytes {
            // What came before it is whole.
            _ = try await store(reader.take(), request, &problems)
            throw APIError(.badData, "journal: \(error)")
        }
        refused += try await store(reader.take(), request, &problems)
        // The sender would send the same again for ever, so what was refused is only told.
        if refused > 0 {
            return .text("\(refused) entries not stored: \(problems.joined(separator: "; "))\n")
        }
        return .text("OK.\n", status: .accepted)
    }

    /// Writes the lines and gives the number of those that were refused.
    private func store(
        _ decoded: DecodedLogs, _ request: APIRequest, _ problems: inout [String]
    ) async throws -> Int {
        if decoded.batch.rowCount == 0, decoded.rejectedRows == 0 { return 0 }
        let report = try await writer.perform(bytes: decoded.batch.arena.count) {
            try await writer.write(decoded, from: .journald, request.tenant)
        }
        for problem in [decoded.message, report.refusals.summary]
        where !problem.isEmpty && problems.count < 8 && !problems.contains(problem) {
            problems.append(problem)
        }
        return decoded.rejectedRows + report.refusals.count
    }
}
