// SPDX-License-Identifier: Apache-2.0
// What the manifest knows of a part.

import Base

/// Which store a record or a part belongs to. Raw values are on disk and never reused.
package enum Signal: UInt8, Sendable, CaseIterable {
    case metrics = 1, logs = 2, traces = 3, correlation = 4

    package var name: String {
        switch self {
        case .metrics: "metrics"
        case .logs: "logs"
        case .traces: "traces"
        case .correlation: "correlation"
        }
    }
}

/// A part: one tenant, one signal, one UTC day. Its file is immutable.
package struct PartDescriptor: Sendable, Hashable {
    /// Unique within a data directory, never reused; also the name of the blob.
    package var id: UInt64
    package var signal: Signal
    package var tenant: String
    /// Days since 1970-01-01 UTC of the data's time.
    package var day: Int32
    /// 0 as sealed, +1 with each merge.
    package var level: UInt8
    /// Earliest and latest time of the data, inclusive, in nanoseconds (metrics: × 10⁶). Of a part
    /// without rows the time at which it was sealed.
    package var minNanos: Int64
    package var maxNanos: Int64
    /// Samples, lines, spans or index entries.
    package var rowCount: UInt64
    package var byteCount: UInt64
    /// Retention class; 0 = the tenant's default.
    package var retentionClass: UInt8
    /// The last log record whose data of this signal is inside.
    package var lastSequence: UInt64
    /// What of the content was deleted after the part was written, in the store's own coding; empty =
    /// nothing. The only field that changes while the part exists.
    package var deletions: [UInt8]

    package init(
        id: UInt64, signal: Signal, tenant: String, day: Int32, level: UInt8, minNanos: Int64,
        maxNanos: Int64, rowCount: UInt64, byteCount: UInt64, retentionClass: UInt8 = 0,
        lastSequence: UInt64, deletions: [UInt8] = []
    ) {
        self.id = id
        self.signal = signal
        self.tenant = tenant
        self.day = day
        self.level = level
        self.minNanos = minNanos
        self.maxNanos = maxNanos
        self.rowCount = rowCount
        self.byteCount = byteCount
        self.retentionClass = retentionClass
        self.lastSequence = lastSequence
        self.deletions = deletions
    }
}

extension PartDescriptor {
    /// Order of arrival: by the last log record inside, then by id. Of two parts of one signal,
    /// tenant, day and retention class, everything in the earlier one was acknowledged before
    /// everything in the later one: sealing cuts the log at one place for all, and merging joins
    /// neighbours only (`CompactionPlanner`).
    package static func isOlder(_ a: PartDescriptor, _ b: PartDescriptor) -> Bool {
        (a.lastSequence, a.id) < (b.lastSequence, b.id)
    }
}

/// A part that a store has built and the kernel has yet to make durable.
package struct PartDraft: Sendable {
    package var tenant: String
    package var day: Int32
    package var minNanos: Int64
    package var maxNanos: Int64
    package var rowCount: UInt64
    package var retentionClass: UInt8
    /// The whole file as `PartWriter.finish` made it.
    package var bytes: [UInt8]
    /// The content has no time of its own (metadata without samples): the kernel dates the part by
    /// the clock, and `day`, `minNanos` and `maxNanos` count for nothing.
    package var isTimeless = false
    /// Rows that sealing or merging left out because an older one is the same.
    package var duplicates = 0
    /// Rows that sealing or merging left out because an older one has their place with another
    /// value.
    package var conflicts = 0

    package init(
        tenant: String, day: Int32, minNanos: Int64, maxNanos: Int64, rowCount: UInt64,
        retentionClass: UInt8 = 0, bytes: [UInt8]
    ) {
        self.tenant = tenant
        self.day = day
        self.minNanos = minNanos
        self.maxNanos = maxNanos
        self.rowCount = rowCount
        self.retentionClass = retentionClass
        self.bytes = bytes
    }
}

/// A durable part, opened. Its file may leave the manifest while readers still hold it.
package final class PartHandle: Sendable {
    package let descriptor: PartDescriptor
    package let reader: PartReader

    package init(descriptor: PartDescriptor, reader: PartReader) {
        self.descriptor = descriptor
        self.reader = reader
    }

    /// The same file with other deletions.
    package func deleting(_ deletions: [UInt8]) -> PartHandle {
        var changed = descriptor
        changed.deletions = deletions
        return PartHandle(descriptor: changed, reader: reader)
    }
}

/// Nanoseconds in a UTC day.
package let nanosPerDay: Int64 = 86_400_000_000_000

/// The UTC day a time falls on, rounding towards the past.
@inlinable package func utcDay(ofNanos nanos: Int64) -> Int32 {
    let quotient = nanos / 86_400_000_000_000
    return Int32(nanos % 86_400_000_000_000 < 0 ? quotient - 1 : quotient)
}
