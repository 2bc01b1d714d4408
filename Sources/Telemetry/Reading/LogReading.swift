// SPDX-License-Identifier: Apache-2.0
// How engines read logs.

import Base

/// A condition on the line that a store may use to skip blocks and rows.
package struct LineFilter: Sendable, Equatable {
    package enum Kind: UInt8, Sendable { case contains, notContains, matches, notMatches }
    package var kind: Kind
    package var text: String
    package init(_ kind: Kind, _ text: String) {
        self.kind = kind
        self.text = text
    }
}

/// Columns of log rows that a reader looks at.
package struct LogColumns: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let lines = LogColumns(rawValue: 1)
    package static let metadata = LogColumns(rawValue: 2)
    package static let all: LogColumns = [.lines, .metadata]
}

/// What a reader that counts rows makes of those that it need not see one by one.
package struct RowCounting {
    /// What rows must have in common, besides their stream, to count alike.
    package enum Likeness: Sendable, Equatable {
        case none
        /// Equal values of these labels in their structured metadata; nil = of all there are.
        case metadata([String]?)
        /// Nothing makes them alike.
        case never
    }
    /// What rows of a stream between two times, both inclusive, must have in common.
    package var likeness: (_ stream: Labels, _ first: Int64, _ last: Int64) -> Likeness
    /// Counts rows that are alike, at a time that one of them may have.
    package var count: (Rows) throws -> Void

    /// Rows that are counted together.
    package struct Rows: Sendable {
        package var stream: Labels
        /// Canonical bytes of the metadata that they have in common, as far as it was asked for.
        package var metadata: [UInt8]
        package var nanos: Int64
        package var count: Int
        /// Of their lines; 0 where the request did not ask for lines and the rows are not all of a
        /// block.
        package var byteCount: Int

        package init(
            stream: Labels, metadata: [UInt8] = [], nanos: Int64, count: Int, byteCount: Int
        ) {
            self.stream = stream
            self.metadata = metadata
            self.nanos = nanos
            self.count = count
            self.byteCount = byteCount
        }
    }

    package init(
        likeness: @escaping (Labels, Int64, Int64) -> Likeness,
        count: @escaping (Rows) throws -> Void
    ) {
        self.likeness = likeness
        self.count = count
    }
}

/// A selection of log lines.
package struct LogRequest: Sendable {
    package enum Order: Sendable {
        /// Ascending or descending time over all streams.
        case oldestFirst, newestFirst
        /// As it comes: cheapest, for aggregation. Rows of one stream still ascend in a batch.
        case any
    }
    package var tenant: Tenant
    package var matchers: [LabelMatcher]
    /// Both ends inclusive.
    package var range: NanosRange
    package var order: Order
    /// All must hold. A hint: stores may return rows that fail them, engines re-check.
    package var filters: [LineFilter]
    /// Conditions on a row's label: its stream's or, where that has none of the name, one of its
    /// structured metadata. All must hold; a hint like `filters`.
    package var conditions: [LabelMatcher] = []
    /// Conditions on numbers that such labels hold. All must hold; a hint like `filters`.
    package var numbers: [NumberCondition] = []
    /// Roughly how many rows the reader will take; 0 = all. A hint for how much to decode at once.
    package var limit: Int
    /// Stores may leave the others empty in rows that they hand over.
    package var columns = LogColumns.all

    package init(
        tenant: Tenant, matchers: [LabelMatcher], range: NanosRange, order: Order = .any,
        filters: [LineFilter] = [], limit: Int = 0
    ) {
        self.tenant = tenant
        self.matchers = matchers
        self.range = range
        self.order = order
        self.filters = filters
        self.limit = limit
    }
}

/// What a log store answers.
package protocol LogReading: Sendable {
    /// Hands over matching rows in batches until `body` returns false.
    ///
    /// With `.oldestFirst` and `.newestFirst` rows are in that order inside each batch and from
    /// batch to batch. Rows of equal time come by stream, ascending by labels, and in one stream in
    /// order of arrival; newest first is the exact reverse.
    /// Duplicates (same stream, time, line and metadata) are already removed.
    func read(
        _ request: LogRequest, _ context: ReadContext,
        _ body: (LogBatch) throws -> Bool
    ) throws
    /// Counts matching rows without handing over those that count alike; the others go to `body`
    /// like those of `read`, in any order. The request's order and limit mean nothing.
    func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws
    /// Streams with rows in the range, ascending by labels; may over-return by a block's span.
    func streams(_ request: LogRequest, _ context: ReadContext) throws -> [Labels]
    func labelNames(_ request: LogRequest, _ context: ReadContext) throws -> [String]
    func labelValues(
        _ name: String, _ request: LogRequest, _ context: ReadContext
    ) throws
        -> [String]
    /// Rows of one stream in a short stretch of time: how the correlation index finds lines again.
    func rows(
        tenant: Tenant, streamHash: UInt64, range: NanosRange, _ context: ReadContext
    ) throws -> LogBatch
    /// Of these rows, those of one trace.
    func rows(
        ofTrace id: TraceID, tenant: Tenant, streamHash: UInt64, range: NanosRange,
        _ context: ReadContext
    ) throws -> LogBatch
}

extension LogReading {
    /// Reads all rows and keeps those of the trace.
    package func rows(
        ofTrace id: TraceID, tenant: Tenant, streamHash: UInt64, range: NanosRange,
        _ context: ReadContext
    ) throws -> LogBatch {
        var rows = try rows(tenant: tenant, streamHash: streamHash, range: range, context)
        rows.keepRows(ofTrace: id)
        return rows
    }

    /// Hands over all rows.
    package func count(
        _ request: LogRequest, _ context: ReadContext, _ counting: RowCounting,
        _ body: (LogBatch) throws -> Bool
    ) throws {
        try read(request, context, body)
    }
}
