// SPDX-License-Identifier: Apache-2.0
// From a trace id to its log lines and exemplars.

import Storage
import Telemetry

/// Where log lines of a trace are: the `Labels.hash` of their stream and a short window of time.
/// Other lines may be there too.
package struct LogReference: Sendable, Hashable, Comparable {
    /// Of 2^24 nanoseconds, some 17 ms: short enough that a busy stream has few lines in one.
    private static let windowBits: Int64 = 24
    /// All windows in which nanoseconds fall.
    package static let windows = (Int64.min >> windowBits)...(Int64.max >> windowBits)

    package var streamHash: UInt64
    /// Number of the window, counted from 1970.
    package var window: Int64

    package init(streamHash: UInt64, window: Int64) {
        self.streamHash = streamHash
        self.window = window
    }

    package init(streamHash: UInt64, nanos: Int64) {
        self.init(streamHash: streamHash, window: LogReference.window(ofNanos: nanos))
    }

    /// The window that a time falls into.
    @inline(__always)
    package static func window(ofNanos nanos: Int64) -> Int64 { nanos >> windowBits }

    /// The time of the window.
    package var range: NanosRange {
        let first = window << LogReference.windowBits
        return NanosRange(
            first: Nanos(first), last: Nanos(first | ((1 << LogReference.windowBits) - 1)))
    }

    package static func < (a: LogReference, b: LogReference) -> Bool {
        (a.window, a.streamHash) < (b.window, b.streamHash)
    }
}

/// Where log lines of a trace are: a stream and a short stretch of time.
package struct LogStretch: Sendable, Equatable {
    package var streamHash: UInt64
    package var range: NanosRange
}

extension LogReference {
    /// Windows of a stream that lie closer than this are read at once, in windows: a block is opened
    /// once for them, and rows of other traces between them cost little. Some two seconds.
    private static let nearWindows: Int64 = 128

    /// References by stream and time, those of one stream that are near each other as one stretch.
    package static func joined(_ references: some Sequence<LogReference>) -> [LogStretch] {
        let sorted = references.sorted {
            ($0.streamHash, $0.window) < ($1.streamHash, $1.window)
        }
        var result: [LogStretch] = []
        var last: LogReference?
        for reference in sorted {
            if let last, last.streamHash == reference.streamHash,
                reference.window - last.window <= nearWindows
            {
                result[result.count - 1].range = NanosRange(
                    first: result[result.count - 1].range.first, last: reference.range.last)
            } else {
                result.append(
                    LogStretch(streamHash: reference.streamHash, range: reference.range))
            }
            last = reference
        }
        return result
    }
}

/// An exemplar of a trace, whole: nothing else need be read to show it.
package struct ExemplarReference: Sendable, Hashable, Comparable {
    package var series: Labels
    package var millis: Int64
    package var value: Double
    package var labels: Labels

    package init(series: Labels, millis: Int64, value: Double, labels: Labels) {
        self.series = series
        self.millis = millis
        self.value = value
        self.labels = labels
    }

    /// By bits, so that NaN equals itself and duplicates are found.
    package static func == (a: ExemplarReference, b: ExemplarReference) -> Bool {
        a.millis == b.millis && a.value.bitPattern == b.value.bitPattern && a.series == b.series
            && a.labels == b.labels
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(series)
        hasher.combine(millis)
        hasher.combine(value.bitPattern)
        hasher.combine(labels)
    }

    package static func < (a: ExemplarReference, b: ExemplarReference) -> Bool {
        if a.millis != b.millis { return a.millis < b.millis }
        if a.series != b.series { return a.series < b.series }
        if a.labels != b.labels { return a.labels < b.labels }
        return a.value.bitPattern < b.value.bitPattern
    }
}

/// All that one trace is referred to from, in order of time, each once.
package struct TraceRefs: Sendable, Equatable {
    package var logs: [LogReference] = []
    package var exemplars: [ExemplarReference] = []
    /// Parts that could not be read: the answer is then partial.
    package var faults: [PartCorruption] = []

    package init() {}
    package var isEmpty: Bool { logs.isEmpty && exemplars.isEmpty }

    mutating func merge(_ other: TraceRefs) {
        logs += other.logs
        exemplars += other.exemplars
        faults += other.faults
    }

    mutating func normalise() {
        logs = TraceRefs.sortedUnique(logs)
        exemplars = TraceRefs.sortedUnique(exemplars)
    }

    private static func sortedUnique<T: Comparable>(_ values: [T]) -> [T] {
        var result: [T] = []
        result.reserveCapacity(values.count)
        for value in values.sorted() where result.last != value { result.append(value) }
        return result
    }
}

/// Names under which exemplars carry a trace id, in any case: clients write `trace_id`, `traceID`,
/// `TraceId`, `trace.id`.
private let traceIDLabels = ["trace_id", "traceid", "trace.id"]

/// The trace id in an exemplar's labels, or nil.
package func traceID(ofExemplar labels: Labels) -> TraceID? {
    var found: TraceID?
    labels.forEachBytes { name, value in
        guard found == nil, (7...8).contains(name.count),
            traceIDLabels.contains(where: { equalIgnoringCase($0, name) }),
            let id = TraceID(hex: value), !id.isZero
        else { return }
        found = id
    }
    return found
}

/// Whether bytes are a lower-case ASCII text in any case.
private func equalIgnoringCase(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
    text.utf8.count == bytes.count
        && zip(text.utf8, bytes).allSatisfy { a, b in
            a == b || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(b) && a == b | 0x20
        }
}
