// SPDX-License-Identifier: Apache-2.0
// Which spans stand for a metrics answer.

import Telemetry

/// Picks spans spread over the time of a query: of each stretch the two whose identifiers hash
/// lowest, of different traces. So the choice is arbitrary and the same each time, in whatever
/// order spans come.
struct ExemplarPicker {
    struct Pick {
        fileprivate var hash: UInt64
        var traceID: TraceID
        var spanID: SpanID
        var nanos: Int64
        /// Nil stands for the value of the sample.
        var value: Double?
        /// The groups in which it was counted.
        var groups: [Int]
    }
    private let grid: MetricsGrid
    private let perStretch: Int
    private let stretchNanos: Int64
    private var stretches: [[Pick]]

    /// - Parameter limit: picks at most; 0 for none.
    init(_ grid: MetricsGrid, limit: Int) {
        self.grid = grid
        let limit = grid.isInstant ? 0 : min(max(0, limit), MetricsQuery.exemplarLimit)
        perStretch = min(2, limit)
        let count = perStretch == 0 ? 0 : limit / perStretch
        stretches = [[Pick]](repeating: [], count: count)
        stretchNanos = max(
            1, (grid.endNanos - grid.startNanos) / Int64(max(1, count)))
    }

    /// Offers a span that starts inside the grid; `groups` and `value` are asked for only when it is
    /// taken.
    mutating func offer(
        _ traceID: TraceID, _ spanID: SpanID, nanos: Int64, value: Double?,
        groups: () -> [Int]
    ) {
        guard !stretches.isEmpty else { return }
        let place = min(
            Int((nanos - grid.startNanos - 1) / stretchNanos), stretches.count - 1)
        let hash = ExemplarPicker.hash(traceID, spanID)
        let picks = stretches[place]
        if picks.count == perStretch, let last = picks.last, hash >= last.hash { return }
        if let same = picks.firstIndex(where: { $0.traceID == traceID }) {
            guard hash < picks[same].hash else { return }
            stretches[place].remove(at: same)
        } else if picks.count == perStretch {
            stretches[place].removeLast()
        }
        let index = stretches[place].firstIndex { $0.hash > hash } ?? stretches[place].count
        stretches[place].insert(
            Pick(
                hash: hash, traceID: traceID, spanID: spanID, nanos: nanos, value: value,
                groups: groups()), at: index)
    }

    /// By time.
    var picks: [Pick] {
        stretches.joined().sorted {
            ($0.nanos, $0.traceID, $0.spanID.rawValue) < ($1.nanos, $1.traceID, $1.spanID.rawValue)
        }
    }

    private static func hash(_ traceID: TraceID, _ spanID: SpanID) -> UInt64 {
        mixed(mixed(traceID.high &* 0x9e37_79b9_7f4a_7c15, traceID.low), spanID.rawValue)
    }

    private static func mixed(_ hash: UInt64, _ part: UInt64) -> UInt64 {
        let product = (hash ^ part) &* 0xbf58_476d_1ce4_e5b9
        return product ^ (product >> 31)
    }
}
