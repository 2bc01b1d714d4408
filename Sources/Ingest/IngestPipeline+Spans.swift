// SPDX-License-Identifier: Apache-2.0
// Spans on their way in.

import Base
import Storage
import Synchronization
import Telemetry
import TraceStore

/// What became of a batch of spans.
package struct SpanWriteReport: Sendable {
    package var spans = 0
    package var duplicates = 0
    package var refusals = Refusals()
}

extension IngestPipeline {
    /// Admits and commits a batch of spans. A span sent again is dropped and counted.
    @concurrent
    package func write(
        spans batch: SpanBatch, tenant: Tenant
    ) async throws(IngestError) -> SpanWriteReport {
        var report = SpanWriteReport()
        let kept = admit(batch, &report.refusals)
        counters.spansRefused.wrappingAdd(report.refusals.count, ordering: .relaxed)
        report.spans = kept.rowCount
        if kept.rowCount == 0 { return report }
        var writer = ByteWriter(reserving: kept.arena.count + 160 * kept.rowCount + 1024)
        kept.encode(into: &writer)
        var duplicates = 0
        try await commit(tenant, .traces, writer.bytes) { ticket in
            let repeated = traces.append(
                kept, tenant: tenant, generation: ticket.generation, sequence: ticket.sequence
            ).duplicateRows
            duplicates = repeated.count
            let fresh = kept.removing(rows: Set(repeated))
            observe { $0.record(spans: fresh, tenant: tenant, generation: ticket.generation) }
        }
        report.duplicates = duplicates
        counters.spans.wrappingAdd(report.spans, ordering: .relaxed)
        counters.spansDuplicate.wrappingAdd(duplicates, ordering: .relaxed)
        return report
    }

    private func admit(_ batch: SpanBatch, _ refusals: inout Refusals) -> SpanBatch {
        let oldest = admitted.lowerBound
        if batch.startNanos.allSatisfy({ $0 >= oldest }) { return batch }
        var kept = SpanBatch()
        kept.arena = batch.arena
        kept.resources = batch.resources
        kept.scopes = batch.scopes
        for row in 0..<batch.rowCount {
            if batch.startNanos[row] < oldest {
                refusals.add("span starts before the retention of this server")
            } else {
                kept.add(batch.row(row))
            }
        }
        return kept
    }
}

extension SpanBatch {
    /// The batch without some rows; itself when there are none to leave out.
    fileprivate func removing(rows: Set<Int>) -> SpanBatch {
        if rows.isEmpty { return self }
        var kept = SpanBatch()
        kept.arena = arena
        kept.resources = resources
        kept.scopes = scopes
        for row in 0..<rowCount where !rows.contains(row) { kept.add(self.row(row)) }
        return kept
    }
}
