// SPDX-License-Identifier: Apache-2.0
// Heads to parts, and parts to fewer parts.

import Storage
import Synchronization

extension Correlation {
    /// See `SignalStore.seal`: one part per tenant and UTC day of the data's time. The lock is held
    /// only while the index is referenced, not while it is encoded.
    package func seal(generation: UInt64) throws -> [PartDraft] {
        let heads = snapshot().heads[generation] ?? [:]
        var drafts: [PartDraft] = []
        for (tenant, head) in heads.sorted(by: { $0.key < $1.key }) {
            let days = head.index.withLock { $0.days }
            for (day, index) in days.sorted(by: { $0.key < $1.key }) {
                drafts.append(draft(index, tenant, day, retentionClass: 0, level: 1))
            }
        }
        return drafts
    }

    private func draft(
        _ index: DayIndex, _ tenant: String, _ day: Int32, retentionClass: UInt8, level: Int32
    ) -> PartDraft {
        PartDraft(
            tenant: tenant, day: day, minNanos: index.minNanos, maxNanos: index.maxNanos,
            rowCount: UInt64(index.entryCount), retentionClass: retentionClass,
            bytes: index.encodePart(level: level))
    }

    /// See `SignalStore.merge`. Memory: all inputs decoded.
    package func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> PartDraft? {
        guard let first = parts.first?.descriptor else { return nil }
        var merged = DayIndex()
        for part in parts {
            if shouldStop() { throw CancellationError() }
            merged.merge(try CorrelationPart(part).decoded(), configuration)
        }
        merged.minNanos = parts.map(\.descriptor.minNanos).min() ?? 0
        merged.maxNanos = parts.map(\.descriptor.maxNanos).max() ?? 0
        guard merged.entryCount > 0 else { return nil }
        return draft(
            merged, first.tenant, first.day, retentionClass: first.retentionClass, level: 3)
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        do throws(PartCorruption) {
            let opened = try CorrelationPart(part)
            _ = try opened.decoded()
        } catch { faults.append(error) }
        return faults
    }
}
