// SPDX-License-Identifier: Apache-2.0
// From matchers to the deletions of parts.

import Base
import Storage
import Telemetry

extension MetricStore {
    /// Deletes samples and exemplars of a tenant that were acknowledged before the call. When this
    /// returns the deletion is durable and shows; `Kernel.delete` says what holds after an error.
    ///
    /// - Parameters:
    ///   - selections: matchers of series; a series that satisfies all of one of them is deleted.
    ///     They are resolved now: series that come later are not concerned.
    ///   - range: times to delete, inclusive.
    ///   - kernel: the one that this store belongs to.
    package func delete(
        _ selections: [[LabelMatcher]], _ range: MillisRange, tenant: Tenant, in kernel: Kernel
    ) async throws {
        let (first, last) = (
            nanos(ofMillis: range.first.rawValue), nanos(ofMillis: range.last.rawValue)
        )
        guard first <= last else { return }
        try await kernel.delete(.metrics, tenant: tenant.name, range: first...last) { parts in
            try self.deletions(selections, range, in: parts, ReadContext())
        }
    }

    /// Works out a deletion for the kernel (`Kernel.delete`): resolves the selections to the series
    /// of each part, and adds those that have something in the range to what is deleted already.
    ///
    /// - Parameters:
    ///   - selections: matchers of series; a series that satisfies all of one of them is deleted.
    ///   - range: times of samples and exemplars to delete, inclusive.
    /// - Returns: the new `deletions` by part id, of the parts that change.
    /// - Throws: `PartCorruption` when the index of a part cannot be read, `MetricStoreError` when a
    ///   part would carry more deletions than it may, and what the context throws.
    package func deletions(
        _ selections: [[LabelMatcher]], _ range: MillisRange, in handles: [PartHandle],
        _ context: ReadContext
    ) throws -> [UInt64: [UInt8]] {
        var result: [UInt64: [UInt8]] = [:]
        for handle in handles {
            try context.check()
            let id = handle.descriptor.id
            let part = try opened(id) ?? MetricPart(handle)
            guard part.overlaps(range) else { continue }
            let series = try selected(selections, range, part, context)
            guard !series.isEmpty else { continue }
            // Clamped, so that all deletions of everything are one.
            let clamped = part.span.intersection(range)
            var deletions = try part.decodedDeletions(of: handle)
            deletions.add(series, clamped, whole: part.span)
            let bytes = deletions.encoded()
            guard deletions.entries.count <= Deletions.maxEntries,
                bytes.count <= Deletions.maxBytes
            else { throw MetricStoreError.tooManyDeletions(part: handle.reader.name) }
            if bytes != handle.descriptor.deletions { result[id] = bytes }
        }
        return result
    }

    /// Series of a part that a deletion would take something from.
    private func selected(
        _ selections: [[LabelMatcher]], _ range: MillisRange, _ part: MetricPart,
        _ context: ReadContext
    ) throws -> Postings {
        let index = try index(of: part)
        let sets = try selections.map { try index.select($0, context) }
        let all = Postings.union(sets, limit: index.seriesCount)
        if all.isEmpty { return all }
        let withExemplars = Set(
            try part.exemplars().filter { _, list in
                list.contains { range.overlaps(first: $0.millis, last: $0.millis) }
            }.map { UInt32(truncatingIfNeeded: $0.series) })
        return Postings(
            ascending: all.ids.filter {
                withExemplars.contains($0) || part.hasSamples(Int($0), range, index)
            })
    }
}
