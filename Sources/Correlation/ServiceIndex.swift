// SPDX-License-Identifier: Apache-2.0
// What is known of one service.

import Telemetry

/// A kind of work that a service does.
struct OperationKey: Hashable, Comparable, Sendable {
    var name: String
    /// OTLP's `SpanKind`.
    var kind: UInt8

    static func < (a: OperationKey, b: OperationKey) -> Bool { (a.name, a.kind) < (b.name, b.kind) }
}

struct OperationCounts: Sendable, Equatable {
    var count: UInt64 = 0
    var errorCount: UInt64 = 0
    var durations = DurationHistogram()

    mutating func merge(_ other: OperationCounts) {
        count &+= other.count
        errorCount &+= other.errorCount
        durations.merge(other.durations)
    }
}

/// Five minutes of one service.
struct ServiceBucket: Sendable, Equatable {
    /// Width in nanoseconds.
    static let width: Int64 = 300_000_000_000
    /// Name of the operation that stands for all beyond the limit.
    static let otherOperations = "(other)"

    var logLineCount: UInt64 = 0
    var errorLogLineCount: UInt64 = 0
    var lastSeenNanos = Int64.min
    var operations: [OperationKey: OperationCounts] = [:]
    /// In heads, and in parts while they are merged; of opened parts they stay in the file.
    var picks = TracePicks()

    /// Number of the bucket a time falls into, rounding towards the past.
    static func number(_ nanos: Int64) -> Int64 {
        nanos / width - (nanos % width < 0 ? 1 : 0)
    }

    mutating func merge(_ other: ServiceBucket, maxOperations: Int) {
        logLineCount &+= other.logLineCount
        errorLogLineCount &+= other.errorLogLineCount
        lastSeenNanos = max(lastSeenNanos, other.lastSeenNanos)
        picks.merge(other.picks)
        // Sorted, so that which operations share `(other)` does not depend on hashing.
        for (key, counts) in other.operations.sorted(by: { $0.key < $1.key }) {
            operations[admitted(key, maxOperations), default: OperationCounts()].merge(counts)
        }
    }

    /// The key under which an operation is counted.
    func admitted(_ key: OperationKey, _ maxOperations: Int) -> OperationKey {
        let other = OperationKey(name: ServiceBucket.otherOperations, kind: 0)
        if key == other || operations[key] != nil { return key }
        // What stands for the rest takes no operation's place: otherwise a merge that meets it
        // first would fold a counted operation into it.
        let counted = operations.count - (operations[other] == nil ? 0 : 1)
        return counted < maxOperations ? key : other
    }
}

/// One service during one UTC day, in one head or part; or several merged for an answer.
struct ServiceIndex: Sendable, Equatable {
    var buckets: [Int64: ServiceBucket] = [:]
    var streams: Set<Labels> = []
    var series: Set<Labels> = []
    var namespaces: Set<String> = []
    var instances: Set<String> = []
    /// Version to the nanosecond it was first seen.
    var versions: [String: Int64] = [:]
    var aliases: Set<ServiceAlias> = []

    /// Adds what another one knows. Sets stay below the limits; of what comes later the smallest
    /// are taken, so that the outcome does not depend on hashing.
    mutating func merge(_ other: ServiceIndex, _ limits: CorrelationConfiguration) {
        for (number, bucket) in other.buckets {
            buckets[number, default: ServiceBucket()].merge(
                bucket, maxOperations: limits.maxOperations)
        }
        let most = limits.maxSetEntries
        streams.absorb(other.streams, most)
        series.absorb(other.series, most)
        namespaces.absorb(other.namespaces, most)
        instances.absorb(other.instances, most)
        aliases.absorb(other.aliases, most)
        for (version, nanos) in other.versions.sorted(by: { $0.key < $1.key }) {
            see(version: version, nanos: nanos, most)
        }
    }

    mutating func see(version: String, nanos: Int64, _ most: Int) {
        if let first = versions[version] {
            if nanos < first { versions[version] = nanos }
        } else if versions.count < most {
            versions[version] = nanos
        }
    }

    /// Leaves only the buckets that touch a range.
    func buckets(in range: NanosRange) -> [Int64: ServiceBucket] {
        if range == .all { return buckets }
        let first = ServiceBucket.number(range.first.rawValue)
        let last = ServiceBucket.number(range.last.rawValue)
        return buckets.filter { first <= $0.key && $0.key <= last }
    }
}

extension Set where Element: Comparable {
    /// Inserts unless the set is full; true when the element was new and found room.
    @discardableResult
    mutating func admit(_ element: Element, _ most: Int) -> Bool {
        count < most && insert(element).inserted
    }

    mutating func absorb(_ other: Set<Element>, _ most: Int) {
        if count + other.count <= most {
            formUnion(other)
        } else {
            for element in other.sorted() { admit(element, most) }
        }
    }
}
