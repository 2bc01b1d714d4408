// SPDX-License-Identifier: Apache-2.0
// Which parts have outlived their time.

/// Chooses parts to drop, by the time of their data and by the bytes of all parts.
///
/// A part goes as a whole, when the last of its data is out of retention: one that is half out is
/// kept. Parts of the correlation index have no retention of their own: they go with the data that
/// they lead to, the parts of the other signals of the same tenant and day.
package enum RetentionPlanner {
    private struct TenantDay: Hashable {
        var tenant: String
        var day: Int32

        init(_ part: PartDescriptor) {
            tenant = part.tenant
            day = part.day
        }
    }

    /// Parts to drop now.
    ///
    /// Age is counted back from the wall clock or from the newest data, whichever is earlier: a
    /// clock that jumps ahead, or a server that was off for a month, then drops nothing that
    /// was inside retention when data last came in. (Prometheus counts from the newest block as
    /// well: `tsdb/db.go`, BeyondTimeRetention.) Parts without rows have their time from the clock,
    /// so they do not count as newest.
    ///
    /// - Parameters:
    ///   - parts: data and index together: an index part without data in the list goes.
    ///   - retentionSeconds: per retention class; 0 or less keeps for ever.
    ///   - maxBytes: of all parts together; beyond it the oldest days go first.
    package static func plan(
        _ parts: [PartDescriptor], wallNanos: Int64, retentionSeconds: (UInt8) -> Double,
        maxBytes: Int?
    ) -> [PartDescriptor] {
        let newest =
            parts.lazy.filter { $0.rowCount > 0 }.map(\.maxNanos).max()
            ?? parts.lazy.map(\.maxNanos).max()
        guard let newest else { return [] }
        let now = min(wallNanos, newest)
        var dropped: [PartDescriptor] = []
        var kept: [PartDescriptor] = []
        for part in parts where part.signal != .correlation {
            let seconds = retentionSeconds(part.retentionClass)
            let age = Double(now) - Double(part.maxNanos)
            if seconds > 0, age > seconds * 1e9 {
                dropped.append(part)
            } else {
                kept.append(part)
            }
        }
        var index: [TenantDay: [PartDescriptor]] = [:]
        for part in parts where part.signal == .correlation {
            index[TenantDay(part), default: []].append(part)
        }
        var remaining: [TenantDay: Int] = [:]
        for part in kept { remaining[TenantDay(part), default: 0] += 1 }
        for (key, parts) in index where remaining[key] == nil {
            dropped += parts
            index[key] = nil
        }
        guard let maxBytes else { return dropped.sorted { $0.id < $1.id } }

        var total = (kept + index.values.joined()).reduce(UInt64(0)) { $0 &+ $1.byteCount }
        kept.sort { ($0.day, $0.maxNanos, $0.id) < ($1.day, $1.maxNanos, $1.id) }
        for part in kept {
            guard total > UInt64(max(0, maxBytes)) else { break }
            var leaving = [part]
            let key = TenantDay(part)
            remaining[key, default: 0] -= 1
            if remaining[key] == 0 { leaving += index[key] ?? [] }
            for one in leaving { total -= min(total, one.byteCount) }
            dropped += leaving
        }
        return dropped.sorted { $0.id < $1.id }
    }
}
