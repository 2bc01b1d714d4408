// SPDX-License-Identifier: Apache-2.0
// Log lines on their way in.

import Base
import LogStore
import Storage
import Synchronization
import Telemetry
import Wire

/// A row that was not taken.
package struct RefusedLogRow: Sendable, Equatable {
    /// Number in the batch.
    package var row: Int
    package var reason: String
    /// Whether a limit refused it, so that it may be sent again later.
    package var isLimited: Bool
}

/// What became of a batch of log lines.
package struct LogWriteReport: Sendable {
    package var rows = 0
    package var duplicates = 0
    package var refusals = Refusals()
    /// Whether a limit on rates or streams refused some of it: it may be sent again later.
    package var isLimited = false
    /// Which rows of the batch were refused, ascending, for protocols that answer each.
    package var refusedRows: [RefusedLogRow] = []
}

extension IngestPipeline {
    /// Enriches (service name, level, trace ids), admits and commits a batch of lines.
    @concurrent
    ///
    /// - Parameter batch: enriched where it lies, when the caller lets go of it.
    package func write(
        logs batch: consuming LogBatch, tenant: Tenant
    ) async throws(IngestError) -> LogWriteReport {
        var report = LogWriteReport()
        // Numbers of the rows that are left, once some are not.
        var numbers: [Int]?
        var kept = consume batch
        admit(&kept, &numbers, &report)
        limit(&kept, numbers, tenant, &report)
        report.refusedRows.sort { $0.row < $1.row }
        counters.linesRefused.wrappingAdd(report.refusals.count, ordering: .relaxed)
        report.rows = kept.rowCount
        if kept.rowCount == 0 { return report }
        enrichment.apply(to: &kept)
        let enriched = kept
        var duplicates = 0
        try await commit(tenant, .logs, pieces: enriched.encodedPieces()) { ticket in
            let repeated = logs.append(
                enriched, tenant: tenant, generation: ticket.generation,
                sequence: ticket.sequence
            ).duplicateRows
            duplicates = repeated.count
            let fresh = enriched.removing(rows: Set(repeated))
            observe { $0.record(logs: fresh, tenant: tenant, generation: ticket.generation) }
        }
        report.duplicates = duplicates
        counters.lines.wrappingAdd(report.rows, ordering: .relaxed)
        counters.linesDuplicate.wrappingAdd(duplicates, ordering: .relaxed)
        return report
    }

    /// Leaves out rows outside the admitted time, in Loki's words.
    ///
    /// - Parameter numbers: where rows are left out, those of the rows that are left.
    private func admit(
        _ batch: inout LogBatch, _ numbers: inout [Int]?, _ report: inout LogWriteReport
    ) {
        let range = admitted
        let limit = lineLimitBytes
        if batch.nanos.allSatisfy(range.contains),
            batch.lines.allSatisfy({ Int($0.count) <= limit })
        {
            return
        }
        var kept = batch.withoutRows()
        var rows: [Int] = []
        for row in 0..<batch.rowCount {
            let nanos = batch.nanos[row]
            let reason: String
            if nanos < range.lowerBound {
                reason = "entry has timestamp too old: older than the retention of this server"
            } else if nanos > range.upperBound {
                reason = "entry has timestamp too new"
            } else if batch.lines[row].count > limit {
                reason = "max entry size \(limit) bytes exceeded"
            } else {
                kept.addRow(row, of: batch)
                rows.append(row)
                continue
            }
            report.refusals.add(reason)
            report.refusedRows.append(
                RefusedLogRow(row: row, reason: reason, isLimited: false))
        }
        numbers = rows
        batch = kept
    }
}

extension LogBatch {
    /// The batch without some rows; itself when there are none to leave out.
    fileprivate func removing(rows: Set<Int>) -> LogBatch {
        if rows.isEmpty { return self }
        var kept = withoutRows()
        for row in 0..<rowCount where !rows.contains(row) { kept.addRow(row, of: self) }
        return kept
    }

    /// The batch with some rows only.
    func keepingRows(_ isKept: (Int) -> Bool) -> LogBatch {
        var kept = withoutRows()
        for row in 0..<rowCount where isKept(row) { kept.addRow(row, of: self) }
        return kept
    }

    /// Streams and arena alone.
    fileprivate func withoutRows() -> LogBatch {
        var batch = LogBatch()
        batch.arena = arena
        batch.streams = streams
        return batch
    }

    /// Adds a row of a batch with the same arena and streams.
    fileprivate mutating func addRow(_ row: Int, of other: LogBatch) {
        addRow(
            stream: other.rowStreams[row], nanos: other.nanos[row], line: other.lines[row],
            metadata: other.metadata[row], traceID: other.traceIDs[row],
            spanID: other.spanIDs[row])
    }
}
