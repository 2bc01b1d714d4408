// SPDX-License-Identifier: Apache-2.0
// Which parts get buckets in place of samples.

/// From this age on, a day keeps one bucket per `resolutionMillis` of each of its rows.
package struct DownsamplingRule: Sendable, Equatable {
    /// Counted from the end of the UTC day.
    package var afterSeconds: Double
    /// Divides a day.
    package var resolutionMillis: Int64

    package init(afterSeconds: Double, resolutionMillis: Int64) {
        self.afterSeconds = afterSeconds
        self.resolutionMillis = resolutionMillis
    }
}

/// Chooses the parts to down-sample: whole (tenant, day, retention class) groups of a signal that are
/// old enough and hold a part with shorter buckets than they should have, or with none.
package enum DownsamplingPlanner {
    private struct Key: Hashable {
        var signal: Signal
        var tenant: String
        var day: Int32
        var retentionClass: UInt8
    }
    /// Parts to rewrite together, in order of arrival.
    package struct Run: Equatable {
        package var parts: [PartDescriptor]
        package var resolutionMillis: Int64
    }

    /// Runs to rewrite now, the oldest day first.
    ///
    /// Age is counted back as retention does (`RetentionPlanner`): a clock that jumps ahead takes
    /// nobody's samples. As in merges, a run is contiguous in the order of arrival.
    ///
    /// - Parameters:
    ///   - parts: all of the manifest.
    ///   - isMergeable: whether a part may be an input.
    ///   - resolution: of a part: length of its buckets, 0 = none, nil = it never has any.
    ///   - maxBytes: largest sum of inputs; a part that is larger alone stays as it is.
    package static func plan(
        _ parts: [PartDescriptor], rules: [DownsamplingRule],
        isMergeable: (PartDescriptor) -> Bool, resolution: (PartDescriptor) throws -> Int64?,
        wallNanos: Int64, maxBytes: Int
    ) rethrows -> [Run] {
        guard !rules.isEmpty,
            let newest = parts.lazy.filter({ $0.rowCount > 0 }).map(\.maxNanos).max()
        else { return [] }
        let now = Double(min(wallNanos, newest))
        var groups: [Key: [PartDescriptor]] = [:]
        for part in parts where part.rowCount > 0 {
            let key = Key(
                signal: part.signal, tenant: part.tenant, day: part.day,
                retentionClass: part.retentionClass)
            groups[key, default: []].append(part)
        }
        var runs: [Run] = []
        for (key, group) in groups {
            let age = (now - (Double(key.day) + 1) * Double(nanosPerDay)) / 1e9
            let wanted = rules.filter { age >= $0.afterSeconds }.map(\.resolutionMillis).max()
            guard let wanted else { continue }
            let sorted = group.sorted(by: PartDescriptor.isOlder)
            for stretch in sorted.split(whereSeparator: { !isMergeable($0) }) {
                for run in divide(stretch, maxBytes) {
                    var isDue = false
                    for part in run {
                        guard let found = try resolution(part) else { continue }
                        isDue = isDue || found < wanted
                    }
                    if isDue { runs.append(Run(parts: run, resolutionMillis: wanted)) }
                }
            }
        }
        return runs.sorted {
            ($0.parts[0].day, $0.parts[0].id) < ($1.parts[0].day, $1.parts[0].id)
        }
    }

    /// Cuts neighbours into runs that are small enough.
    private static func divide(
        _ parts: ArraySlice<PartDescriptor>, _ maxBytes: Int
    ) -> [[PartDescriptor]] {
        var runs: [[PartDescriptor]] = []
        var run: [PartDescriptor] = []
        var sum = 0
        func close() {
            if !run.isEmpty { runs.append(run) }
            (run, sum) = ([], 0)
        }
        for part in parts {
            let size = Int(clamping: part.byteCount)
            if size > maxBytes {
                close()
                continue
            }
            if sum + size > maxBytes { close() }
            run.append(part)
            sum += size
        }
        close()
        return runs
    }
}
