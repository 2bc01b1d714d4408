// SPDX-License-Identifier: Apache-2.0
// Rates, errors and durations of operations.

/// A span that stands for others.
package struct SpanExemplar: Sendable, Hashable {
    package var traceID: TraceID
    package var spanID: SpanID
    package var startNanos: Int64
    package var durationNanos: Int64

    package init(traceID: TraceID, spanID: SpanID, startNanos: Int64, durationNanos: Int64) {
        self.traceID = traceID
        self.spanID = spanID
        self.startNanos = startNanos
        self.durationNanos = durationNanos
    }
}

/// Spans of one operation, kind and status that start in one minute.
package struct SpanRate: Sendable, Equatable {
    package struct Key: Hashable, Sendable {
        package var service: String
        package var name: String
        /// OTLP's `SpanKind` and status code.
        package var kind: UInt8
        package var status: UInt8
        /// Start of the minute, in nanoseconds since 1970.
        package var minuteNanos: Int64

        package init(
            service: String, name: String, kind: UInt8, status: UInt8, minuteNanos: Int64
        ) {
            self.service = service
            self.name = name
            self.kind = kind
            self.status = status
            self.minuteNanos = minuteNanos
        }
    }
    package var key: Key
    /// Of the spans' durations; a quantile is off by less than 1 %.
    package var durations: DurationHistogram
    /// The slowest span, then one that is as good as random, unless they are the same; empty unless
    /// asked for. Both are stored. An error's exemplars stand with status 2.
    package var exemplars: [SpanExemplar]

    package init(key: Key, durations: DurationHistogram, exemplars: [SpanExemplar] = []) {
        self.key = key
        self.durations = durations
        self.exemplars = exemplars
    }

    package var count: UInt64 { durations.count }
    package var errorCount: UInt64 { key.status == 2 ? durations.count : 0 }
}

/// Which rates are wanted.
package struct SpanRateRequest: Sendable {
    package var tenant: Tenant
    /// Minutes that touch it, whole.
    package var range: NanosRange
    /// Nil = all.
    package var services: Set<String>?
    package var names: Set<String>?
    package var wantsExemplars: Bool

    package init(
        tenant: Tenant, range: NanosRange, services: Set<String>? = nil, names: Set<String>? = nil,
        wantsExemplars: Bool = false
    ) {
        self.tenant = tenant
        self.range = range
        self.services = services
        self.names = names
        self.wantsExemplars = wantsExemplars
    }
}

/// What a trace store knows of operations without reading spans.
package protocol SpanRateReading: Sendable {
    /// Rates by service, name, minute, kind and status, ascending. A span that was sent again after its
    /// head was sealed counts twice until the parts are merged.
    ///
    /// - Throws: `QueryInterruption`. Damaged parts are noted in the context.
    func rates(_ request: SpanRateRequest, _ context: ReadContext) throws -> [SpanRate]
}
