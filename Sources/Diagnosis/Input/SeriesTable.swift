// SPDX-License-Identifier: Apache-2.0
// Metric series that tell of resources.

import Telemetry

/// What a metric measures the use of.
package enum Resource: String, Sendable, CaseIterable {
    case cpu, memory, disk, network, dependency
}

/// A series of one service's instance.
struct ResourceSeries: Sendable {
    var labels: Labels
    var service: Int32
    var resource: Resource
    /// What the value cannot exceed: 100 of a percentage, 1 of a ratio; nil when unknown.
    var capacity: Double?
    /// Whether the value only grows; the points are rates then.
    var isCounter: Bool
    /// Whether it is of a machine that several services share.
    var isShared: Bool
    /// Values outside the window: of the baseline and of the time before the window.
    var history: [Double] = []
    var window: [Double] = []
}

/// What the name of a metric says. Sources: Prometheus' naming conventions (`_percent` is not among
/// them and common all the same, `_ratio`, `_total`), OpenTelemetry's (`utilization`).
struct MetricKind: Equatable {
    var resource: Resource
    var capacity: Double?
    var isCounter: Bool
    var isShared: Bool

    /// What a store is asked for; `init` decides.
    static let pattern =
        "(?i).*(cpu|memory|mem_|_mem|heap|rss|swap|disk|filesystem|fs_|volume|network|net_|tcp|throttl).*"

    init?(name: String) {
        let words = MetricKind.words(name)
        func has(_ some: String...) -> Bool { some.contains { words.contains($0) } }
        // What there is, in contrast to what is used of it.
        if has("limit", "limits", "request", "requests", "capacity", "allocatable", "quota", "info")
        {
            return nil
        }
        if has("free", "available", "idle") { return nil }
        if has("latency", "duration", "bucket", "count") { return nil }
        if has("cpu", "processor", "throttled", "throttling") {
            resource = .cpu
        } else if has("memory", "mem", "heap", "rss", "swap") {
            resource = .memory
        } else if has("disk", "filesystem", "fs", "volume") {
            resource = .disk
        } else if has("network", "net", "tcp") {
            resource = .network
        } else {
            return nil
        }
        if has("percent", "percentage", "pct") {
            capacity = 100
        } else if has("ratio", "utilization", "utilisation") {
            capacity = 1
        }
        isCounter = words.last == "total"
        isShared = words.first == "node" || words.first == "host" || words.first == "machine"
    }

    /// Words of a name in `snake_case` or `camelCase`, in small letters.
    static func words(_ name: String) -> [String] {
        var result: [String] = []
        var word: [UInt8] = []
        var wasSmall = false
        for byte in name.utf8 {
            let isLetter = (0x61...0x7a).contains(byte | 0x20)
            let isCapital = (0x41...0x5a).contains(byte)
            if !isLetter || isCapital && wasSmall, !word.isEmpty {
                result.append(String(decoding: word, as: UTF8.self))
                word = []
            }
            if isLetter { word.append(byte | 0x20) }
            wasSmall = isLetter && !isCapital
        }
        if !word.isEmpty { result.append(String(decoding: word, as: UTF8.self)) }
        return result
    }
}

/// A version of a service that appeared between baseline and window.
struct NewVersion: Sendable {
    var service: Int32
    var version: String
    var firstSeenNanos: Int64
}

/// All that a diagnosis looks at.
struct Observations: Sendable {
    var services = ServiceTable()
    /// By service, the values of `service.name` on its spans.
    var spanNames: [Int32: Set<String>] = [:]
    /// Streams of services that the configuration says something of, by the name it gives.
    var overriddenStreams: [String: Set<Labels>] = [:]
    var spans = SpanTable()
    var lines = LineTable()
    var series: [ResourceSeries] = []
    var versions: [NewVersion] = []
    /// What could not be looked at, for the answer's `coverage`.
    var notes: [String] = []
    /// Part of the traces that were looked at; 1 when all were.
    var traceShare = 1.0
}
