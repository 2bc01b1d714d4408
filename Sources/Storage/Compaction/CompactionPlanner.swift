// SPDX-License-Identifier: Apache-2.0
// Which parts to merge.

/// What the inputs of one merge may be together.
package struct MergeLimits {
    package var bytes: Int
    /// Of what `SignalStore.mergeWeight` says of each.
    package var weight = Int.max

    package init(bytes: Int, weight: Int = .max) {
        self.bytes = bytes
        self.weight = weight
    }
}

/// Chooses runs of parts to merge, size-tiered, inside one (tenant, signal, day, retention class).
///
/// **Neighbours only.** Readers and merges let the first acknowledged of two equal keys win and keep
/// equal times in order of arrival, and all they know of arrival is the order of the parts
/// (`PartDescriptor.isOlder`). A run is therefore contiguous in that order among *all* parts of its
/// group. A part that cannot be merged now, because it is damaged, too large with its neighbours
/// or not shown to readers yet, is never skipped: it ends the run. Then the parts of a group cover
/// disjoint stretches of the log at all times, and the output, which takes the place of its last
/// input, stands where its inputs stood.
///
/// A run is worth merging when its sum is several times its largest
/// part: then every byte is rewritten about log₄(day's bytes / sealed bytes) times. Days that are
/// over are merged more eagerly, since nothing will come and join them.
package enum CompactionPlanner {
    /// Most parts of one merge.
    package static let maxInputs = 16
    /// Least sum-to-largest ratio of a run: of the current day, and of days that are over.
    package static let minRatio = 4.0
    package static let minRatioOfClosedDay = 1.5

    private struct Key: Hashable {
        var signal: Signal
        var tenant: String
        var day: Int32
        var retentionClass: UInt8
    }

    /// Runs to merge now, at most one per group, the most worthwhile first. No part is in two.
    ///
    /// - Parameters:
    ///   - parts: all of the manifest: a part that is left out would let its neighbours merge.
    ///   - isMergeable: whether a part may be an input.
    ///   - today: UTC day of the wall clock; earlier days count as over.
    ///   - weight: of a part; asked once.
    ///   - limits: of the inputs of one merge, by signal.
    package static func plan(
        _ parts: some Sequence<PartDescriptor>,
        isMergeable: (PartDescriptor) -> Bool = { _ in true }, today: Int32,
        weight: (PartDescriptor) -> Int = { _ in 0 }, limits: (Signal) -> MergeLimits
    ) -> [[PartDescriptor]] {
        var groups: [Key: [PartDescriptor]] = [:]
        for part in parts {
            let key = Key(
                signal: part.signal, tenant: part.tenant, day: part.day,
                retentionClass: part.retentionClass)
            groups[key, default: []].append(part)
        }
        var runs: [(ratio: Double, parts: [PartDescriptor])] = []
        for (key, var group) in groups where group.count > 1 {
            group.sort(by: PartDescriptor.isOlder)
            let least = key.day < today ? minRatioOfClosedDay : minRatio
            let stretches = group.split { !isMergeable($0) }
            let limits = limits(key.signal)
            let found = stretches.compactMap { best($0, least, limits, weight) }
            if let run = found.max(by: { $0.ratio < $1.ratio }) { runs.append(run) }
        }
        // Ids make the order the same in every run of the program.
        runs.sort { ($0.ratio, $1.parts[0].id) > ($1.ratio, $0.parts[0].id) }
        return runs.map(\.parts)
    }

    /// The run with the highest ratio; quadratic only within `maxInputs`.
    private static func best(
        _ group: ArraySlice<PartDescriptor>, _ least: Double, _ limits: MergeLimits,
        _ weight: (PartDescriptor) -> Int
    ) -> (ratio: Double, parts: [PartDescriptor])? {
        let weights = limits.weight == .max ? [] : group.map(weight)
        var found: (ratio: Double, parts: Range<Int>)?
        for first in group.indices {
            var sum = 0.0
            var weightSum = 0.0
            var largest = 1.0
            for last in first..<min(first + maxInputs, group.endIndex) {
                let size = Double(group[last].byteCount)
                sum += size
                largest = max(largest, size)
                if !weights.isEmpty { weightSum += Double(weights[last - group.startIndex]) }
                if sum > Double(limits.bytes) || weightSum > Double(limits.weight) { break }
                let ratio = sum / largest
                if last > first, ratio >= least, ratio > found?.ratio ?? 0 {
                    found = (ratio, first..<(last + 1))
                }
            }
        }
        return found.map { ($0.ratio, Array(group[$0.parts])) }
    }
}
