// SPDX-License-Identifier: Apache-2.0
// What the index answers with.

import Storage
import Telemetry

/// One service over a range. Counts are of all five-minute buckets that touch the range, sets of
/// all days.
package struct ServiceSummary: Sendable, Equatable {
    package var name: String
    /// The first by name when there are several; nil when none is known.
    package var namespace: String?
    /// Other names, sorted.
    package var aliases: [String]
    package var spanCount: UInt64
    package var errorCount: UInt64
    /// Of span durations; 0 without spans.
    package var p50Nanos: Int64
    package var p95Nanos: Int64
    package var p99Nanos: Int64
    package var logLineCount: UInt64
    package var errorLogLineCount: UInt64
    package var seriesCount: Int
    package var lastSeenNanos: Int64
}

package struct ServiceOperation: Sendable, Equatable {
    package var name: String
    /// OTLP's `SpanKind`.
    package var kind: UInt8
    package var count: UInt64
    package var errorCount: UInt64
    package var p50Nanos: Int64
    package var p95Nanos: Int64
    package var p99Nanos: Int64
}

/// Calls from or to another service.
package struct ServiceEdge: Sendable, Equatable {
    package var service: String
    package var callCount: UInt64
    package var errorCount: UInt64
    package var p95Nanos: Int64
}

package struct ServiceVersion: Sendable, Equatable {
    package var version: String
    package var firstSeenNanos: Int64
}

/// Traces of one service over a range.
package struct ServiceTraces: Sendable, Equatable {
    /// Newest first.
    package var recent: [TraceID] = []
    /// Newest first.
    package var errors: [TraceID] = []
    /// Longest span of the service first.
    package var slow: [TraceID] = []
    /// Whether an end of the range cuts five minutes of which not all traces are known: others may
    /// have been newer or slower inside the range.
    package var isCut = false
    /// Parts that could not be read.
    package var faults: [PartCorruption] = []

    package init() {}
}

/// Everything about one service; lists are sorted.
package struct ServiceDetail: Sendable, Equatable {
    package var summary: ServiceSummary
    package var instances: [String]
    /// Values of `service.name` on its spans: its own name, unless the configuration has another.
    package var spanNames: [String]
    package var metricNames: [String]
    package var streams: [Labels]
    package var series: [Labels]
    package var operations: [ServiceOperation]
    /// Services that call this one.
    package var upstream: [ServiceEdge]
    /// Services that this one calls.
    package var downstream: [ServiceEdge]
    /// In order of first sight.
    package var versions: [ServiceVersion]
    package var identity: [ServiceAlias]
    /// Parts whose calls could not be read.
    package var faults: [PartCorruption]
}
