// SPDX-License-Identifier: Apache-2.0
// Log lines on their way in.

import Base
import LogStore
import Storage
import Synchronization
import Telemetry
import Wire

/// What became of a batch of log lines.
package struct LogWriteReport: Sendable {
    package var rows = 0
    package var duplicates = 0
    package var refusals = Refusals()
    /// Which rows of the batch were refused, ascending, for protocols that answer each.
    package var refusedRows: [(row: Int, reason: String)] = []
}

extension IngestPipeline {
    /// Enriches (service name, level, trace ids), admits and commits a batch of lines.
    @concurrent
    package func write(
        logs batch: LogBatch, tenant: Tenant
    ) async throws(IngestError) -> LogWriteReport {
        var report = LogWriteReport()
        var kept = admit(batch, &report)
        counters.linesRefused.wrappingAdd(report.refusals.count, ordering: .relaxed)
        report.rows = kept.rowCount
        if kept.rowCount == 0 { return report }
        LogEnrichment().apply(to: &kept)
        let enriched = kept
        var writer = ByteWriter(reserving: enriched.arena.count + 64 * enriched.rowCount + 1024)
        enriched.encode(into: &writer)
        var duplicates = 0
        try await commit(tenant, .logs, writer.bytes) { ticket in
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
    private func admit(_ batch: LogBatch, _ report: inout LogWriteReport) -> LogBatch {
        let range = admitted
        let limit = lineLimitBytes
        if batch.nanos.allSatisfy(range.contains),
            batch.lines.allSatisfy({ Int($0.count) <= limit })
        {
            return batch
        }
        var kept = batch.withoutRows()
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
                continue
            }
            report.refusals.add(reason)
            report.refusedRows.append((row, reason))
        }
        return kept
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
