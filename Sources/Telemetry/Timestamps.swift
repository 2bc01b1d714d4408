// SPDX-License-Identifier: Apache-2.0
// The two units of time, kept apart by type.

/// Milliseconds since the Unix epoch: the time of metrics.
@usableFromInline package struct Millis: Hashable, Comparable, Sendable {
    @usableFromInline package var rawValue: Int64
    @inlinable package init(_ rawValue: Int64) { self.rawValue = rawValue }
    @inlinable package static func < (a: Millis, b: Millis) -> Bool { a.rawValue < b.rawValue }
    package static let min = Millis(.min)
    package static let max = Millis(.max)
}

/// Nanoseconds since the Unix epoch: the time of logs and spans.
@usableFromInline package struct Nanos: Hashable, Comparable, Sendable {
    @usableFromInline package var rawValue: Int64
    @inlinable package init(_ rawValue: Int64) { self.rawValue = rawValue }
    @inlinable package static func < (a: Nanos, b: Nanos) -> Bool { a.rawValue < b.rawValue }
    package static let min = Nanos(.min)
    package static let max = Nanos(.max)
}

/// A stretch of metric time, both ends inclusive.
package struct MillisRange: Hashable, Sendable {
    package var first: Millis
    package var last: Millis
    package init(first: Millis, last: Millis) {
        self.first = first
        self.last = last
    }
    package static let all = MillisRange(first: .min, last: .max)
    package func overlaps(first otherFirst: Int64, last otherLast: Int64) -> Bool {
        first.rawValue <= otherLast && otherFirst <= last.rawValue
    }
}

/// A stretch of log or span time, both ends inclusive.
package struct NanosRange: Hashable, Sendable {
    package var first: Nanos
    package var last: Nanos
    package init(first: Nanos, last: Nanos) {
        self.first = first
        self.last = last
    }
    package static let all = NanosRange(first: .min, last: .max)
    package func overlaps(first otherFirst: Int64, last otherLast: Int64) -> Bool {
        first.rawValue <= otherLast && otherFirst <= last.rawValue
    }
    package func contains(_ nanos: Int64) -> Bool {
        first.rawValue <= nanos && nanos <= last.rawValue
    }
}
