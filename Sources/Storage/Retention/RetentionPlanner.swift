// SPDX-License-Identifier: Apache-2.0
// Which parts have outlived their time.

/// Chooses parts to drop, by the time of their data and by the bytes of all parts.
package enum RetentionPlanner {
    /// Parts to drop now.
    ///
    /// Age is counted back from the wall clock or from the newest data, whichever is earlier: a
    /// clock that jumps ahead, or a server that was off for a month, then drops nothing that
    /// was inside retention when data last came in. (Prometheus counts from the newest block as
    /// well: `tsdb/db.go`, BeyondTimeRetention.)
    ///
    /// - Parameter retentionSeconds: per retention class; 0 or less keeps for ever.
    package static func plan(
        _ parts: [PartDescriptor], wallNanos: Int64, retentionSeconds: (UInt8) -> Double,
        maxBytes: Int?
    ) -> [PartDescriptor] {
        guard let newest = parts.lazy.map(\.maxNanos).max() else { return [] }
        let now = min(wallNanos, newest)
        var dropped: [PartDescriptor] = []
        var kept: [PartDescriptor] = []
        for part in parts {
            let seconds = retentionSeconds(part.retentionClass)
            let age = Double(now) - Double(part.maxNanos)
            if seconds > 0, age > seconds * 1e9 {
                dropped.append(part)
            } else {
                kept.append(part)
            }
        }
        if let maxBytes {
            var total = kept.reduce(UInt64(0)) { $0 &+ $1.byteCount }
            kept.sort { ($0.day, $0.maxNanos, $0.id) < ($1.day, $1.maxNanos, $1.id) }
            for part in kept {
                guard total > UInt64(max(0, maxBytes)) else { break }
                total -= min(total, part.byteCount)
                dropped.append(part)
            }
        }
        return dropped.sorted { $0.id < $1.id }
    }
}
