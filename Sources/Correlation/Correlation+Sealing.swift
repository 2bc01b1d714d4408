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
            let days = head.index.withLock { $0.settledDays(configuration) }
            for (day, unjoined) in days.sorted(by: { $0.key < $1.key }) {
                var index = unjoined
                index.calls.join()
                drafts.append(
                    draft(
                        index,
                        index.encodePart(
                            level: 1, maxReferences: configuration.maxReferencesPerTrace),
                        tenant, day, retentionClass: 0))
            }
        }
        return drafts
    }

    private func draft(
        _ index: DayIndex, _ bytes: [UInt8], _ tenant: String, _ day: Int32,
        retentionClass: UInt8
    ) -> PartDraft {
        PartDraft(
            tenant: tenant, day: day, minNanos: index.minNanos, maxNanos: index.maxNanos,
            rowCount: UInt64(index.entryCount), retentionClass: retentionClass,
            bytes: bytes)
    }

    /// Entries are what `PartDescriptor.rowCount` counts, so that a part weighs its rows.
    package var maxMergeWeight: Int { configuration.maxMergeEntries }

    /// See `SignalStore.merge`. Memory: all inputs decoded.
    package func merge(_ parts: [PartHandle], shouldStop: () -> Bool) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        try checkSize(parts)
        var merged = DayIndex()
        for part in parts {
            if shouldStop() { throw CancellationError() }
            let opened = try CorrelationPart(part)
            merged.merge(try opened.decoded(), configuration)
            merged.calls.merge(try opened.calls())
        }
        merged.calls.join()
        merged.minNanos = parts.map(\.descriptor.minNanos).min() ?? 0
        merged.maxNanos = parts.map(\.descriptor.maxNanos).max() ?? 0
        guard merged.entryCount > 0 else { return [] }
        return [
            draft(
                merged,
                merged.encodePart(
                    level: 3, maxReferences: configuration.maxReferencesPerTrace),
                first.tenant, first.day, retentionClass: first.retentionClass)
        ]
    }

    /// A section has a largest size, and the kernel looks only at what parts take on disk.
    private func checkSize(_ parts: [PartHandle]) throws {
        var counts: [UInt16: Int] = [:]
        for section in parts.flatMap(\.reader.sections) {
            counts[section.kind, default: 0] += section.plainCount
        }
        for (kind, count) in counts where count > configuration.maxSectionBytes {
            throw PartCorruption(
                offset: 0,
                problem: "section \(kind) of \(parts.count) parts together has \(count) bytes, "
                    + "more than one part may have; they stay as they are")
        }
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        do throws(PartCorruption) {
            let opened = try CorrelationPart(part)
            _ = try opened.decoded()
            _ = try opened.calls()
        } catch { faults.append(error) }
        return faults
    }
}
