// SPDX-License-Identifier: Apache-2.0
// What the shop's services count.

/// Counters and histograms of the demo's services, as a scrape of them would read.
struct DemoCounters: Sendable {
    private struct Key: Hashable, Comparable {
        var service: String
        var operation: String
        static func < (a: Key, b: Key) -> Bool {
            (a.service, a.operation) < (b.service, b.operation)
        }
    }
    private struct Count {
        var ok = 0
        var failed = 0
        var seconds = 0.0
        var buckets = [Int](repeating: 0, count: DemoCounters.bounds.count)
        /// The slowest request since the last page, for an exemplar.
        var slowest: (seconds: Double, trace: String)?
    }
    static let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
    private var counts: [Key: Count] = [:]

    mutating func add(_ span: DemoSpan) {
        guard span.kind == 2 else { return }
        var count = counts[Key(service: span.service, operation: span.name)] ?? Count()
        let seconds = Double(span.endNanos &- span.startNanos) / 1e9
        if span.fault.isEmpty { count.ok += 1 } else { count.failed += 1 }
        count.seconds += seconds
        for (index, bound) in Self.bounds.enumerated() where seconds <= bound {
            count.buckets[index] += 1
        }
        if seconds > (count.slowest?.seconds ?? 0) { count.slowest = (seconds, span.traceID) }
        counts[Key(service: span.service, operation: span.name)] = count
    }

    /// An OpenMetrics page at a time, with the trace of the slowest request as an exemplar.
    mutating func page(atNanos nanos: Int64) -> String {
        let time = String(Double(nanos / 1_000_000) / 1000)
        var requests = ""
        var durations = ""
        for key in counts.keys.sorted() {
            guard var count = counts[key] else { continue }
            let labels =
                "job=\"\(key.service)\",instance=\"\(key.service)-0\",operation=\"\(key.operation)\""
            requests += "shop_requests_total{\(labels),outcome=\"ok\"} \(count.ok) \(time)\n"
            requests +=
                "shop_requests_total{\(labels),outcome=\"error\"} \(count.failed) \(time)\n"
            let total = count.ok + count.failed
            for (bound, value) in zip(Self.bounds, count.buckets) {
                durations +=
                    "shop_request_duration_seconds_bucket{\(labels),le=\"\(bound)\"} \(value) \(time)\n"
            }
            durations +=
                "shop_request_duration_seconds_bucket{\(labels),le=\"+Inf\"} \(total) \(time)"
            if let slowest = count.slowest {
                durations += " # {trace_id=\"\(slowest.trace)\"} \(slowest.seconds) \(time)"
            }
            durations += "\nshop_request_duration_seconds_count{\(labels)} \(total) \(time)\n"
            durations += "shop_request_duration_seconds_sum{\(labels)} \(count.seconds) \(time)\n"
            count.slowest = nil
            counts[key] = count
        }
        return "# TYPE shop_requests counter\n# HELP shop_requests Requests by outcome.\n"
            + requests
            + "# TYPE shop_request_duration_seconds histogram\n"
            + "# UNIT shop_request_duration_seconds seconds\n"
            + "# HELP shop_request_duration_seconds How long requests took.\n" + durations
            + "# EOF\n"
    }
}
