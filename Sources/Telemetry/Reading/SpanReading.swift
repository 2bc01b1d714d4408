// SPDX-License-Identifier: Apache-2.0
// How engines read traces.

/// Where an attribute is looked for.
package enum AttributeScope: UInt8, Sendable, CaseIterable {
    /// Span first, then resource.
    case any
    case span, resource, event, link, instrumentation
}

/// Properties every span has.
package enum SpanIntrinsic: UInt8, Sendable, CaseIterable {
    case duration, name, status, statusMessage, kind, traceID, spanID, parentID
    case rootName, rootService, traceDuration, eventName, instrumentationName
    case instrumentationVersion
}

/// A condition on one span that a store may evaluate; see `SpanRequest.conditions`.
package struct SpanCondition: Sendable {
    package enum Subject: Sendable, Hashable {
        case intrinsic(SpanIntrinsic)
        case attribute(AttributeScope, String)
    }
    package enum Operation: UInt8, Sendable {
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, matches, notMatches
        case exists
    }
    package var subject: Subject
    package var operation: Operation
    /// Duration in nanoseconds as `.int`; status and kind as their OTLP number in `.int`;
    /// ids as lower-case hexadecimal `.string`.
    package var value: AttributeValue
    package init(_ subject: Subject, _ operation: Operation, _ value: AttributeValue) {
        self.subject = subject
        self.operation = operation
        self.value = value
    }
}

/// A search for spans.
package struct SpanRequest: Sendable {
    package var tenant: Tenant
    /// Spans whose start lies inside, both ends inclusive.
    package var range: NanosRange
    /// Hints: a store may skip what cannot satisfy them and may return more; engines re-check.
    package var conditions: [SpanCondition]
    /// Whether all conditions must hold on one span, or one is enough.
    package var matchAll: Bool
    /// Whether batches come with `selfTimeNanos` and `criticalPathNanos`, those of the spans' whole
    /// traces. Costs a look-up per trace, and reading those that do not lie in one part whole.
    package var wantsTimes = false

    package init(
        tenant: Tenant, range: NanosRange, conditions: [SpanCondition] = [], matchAll: Bool = true
    ) {
        self.tenant = tenant
        self.range = range
        self.conditions = conditions
        self.matchAll = matchAll
    }
}

/// What a trace store answers.
package protocol SpanReading: Sendable {
    /// All spans of a trace from heads and parts, duplicates removed, by start time. No rows when
    /// the id is unknown.
    func trace(_ id: TraceID, tenant: Tenant, _ context: ReadContext) throws -> SpanBatch
    /// The same with the structure of the trace, row by row: stored numbers where they are those of
    /// the whole trace.
    func structuredTrace(
        _ id: TraceID, tenant: Tenant, _ context: ReadContext
    ) throws -> (spans: SpanBatch, structure: SpanStructure)
    /// Candidate spans, newest blocks first, until `body` returns false. Each batch is
    /// self-contained; spans of one trace may come in several.
    ///
    /// - Parameter body: gets a batch and the latest start that a span of a later batch can have, so
    ///   that a search for the newest knows when it has them; `Int64.min` with the last batch.
    func search(
        newestFirst request: SpanRequest, _ context: ReadContext,
        _ body: (SpanBatch, _ restStartNanos: Int64) throws -> Bool
    ) throws
    /// Attribute keys by scope, ascending.
    func tagNames(
        _ tenant: Tenant, range: NanosRange, _ context: ReadContext
    ) throws -> [AttributeScope: [String]]
    /// Distinct values of an attribute or intrinsic, at most `limit`, ascending.
    func tagValues(
        _ subject: SpanCondition.Subject, _ request: SpanRequest, limit: Int,
        _ context: ReadContext
    ) throws -> [AttributeValue]
    /// Whole traces, each as `trace` gives it, in the order of `ids`, until `body` returns false. A
    /// store reads once what several of them share, the first few on their own, and bounds by their
    /// spans how many it holds at a time.
    func traces(
        _ ids: [TraceID], tenant: Tenant, _ context: ReadContext,
        _ body: (SpanBatch) throws -> Bool
    ) throws
}
