// SPDX-License-Identifier: Apache-2.0
// One thing that differs.

/// What differs between baseline and window in one place.
struct Finding: Sendable {
    enum Kind: Sendable, Equatable {
        /// After a log line of a span another one follows, or none, or at its start.
        case path(Divergence)
        /// Spans fail that did not.
        case errors(Share, Share)
        /// Statement writes error lines that it did not write.
        case errorLines(statement: Int32, perStretch: [Share])
        /// Spans of an operation call another one less often, or more often.
        case calls(operation: Int32, service: Int32, before: Share, after: Share)
        /// Spans take longer by themselves than `thresholdNanos`.
        case slow(Slowness)
        /// The same of the time between a client and its server.
        case gap(Slowness)
        /// An instance is short of a resource; index into `Observations.series`.
        case resource(series: Int)
        case version(Int)
    }

    /// A place in a span from which it goes on differently. Statements by number, nil for the span's
    /// start and end.
    struct Divergence: Sendable, Equatable {
        /// The last line that both have.
        var last: Int32?
        /// What followed it, and does so less often.
        var vanished: Int32?
        /// What followed in most cases.
        var usual: Int32?
        /// What follows it now.
        var appeared: Int32?
        /// Whether the strongest change is that something vanished.
        var isVanished: Bool
        /// Of the spans that come to `last`, those that go on as they did, or do now.
        var baseline: Share
        var window: Share
    }

    struct Slowness: Sendable, Equatable {
        var thresholdNanos: Int64
        var baseline: Share
        var window: Share
        /// Median of the slow spans of the window.
        var typicalNanos: Int64
        /// Median of the baseline.
        var usualNanos: Int64
    }

    var service: Int32
    var operation: Int32?
    var kind: Kind
    /// From 0 to 1: how sure and how large the difference is. It ranks.
    var strength: Double
    /// From 0 to 1: the same as the score is made of, see `Change.certainty`.
    var certainty: Double
    /// Spans of the window that show it.
    var rows: [Int32] = []
    /// Of a gap: the service at the other end.
    var peer: Int32?
    /// OTLP's `SpanKind` of the spans.
    var spanKind: UInt8 = 0
    /// Whether it is of the second half of the window alone.
    var isLate = false
}

extension Finding {
    /// Weakens both.
    mutating func scale(by factor: Double) {
        strength *= factor
        certainty *= factor
    }
}
