// SPDX-License-Identifier: Apache-2.0
// Lines of a batch by stream and five minutes.

import Base
import Telemetry

/// Lines of one stream in one bucket.
struct LineGroup: Sendable {
    var stream: UInt32
    var bucket: Int64
    var firstNanos: Int64
    var lastNanos: Int64
    var lines: UInt64 = 0
    /// Of these, lines of level error, critical or fatal.
    var errors: UInt64 = 0

    /// No lines yet.
    private init(stream: Int, nanos: Int64) {
        self.stream = UInt32(truncatingIfNeeded: stream)
        bucket = ServiceBucket.number(nanos)
        firstNanos = nanos
        lastNanos = nanos
    }

    /// Times of the bucket.
    private var bounds: ClosedRange<Int64> {
        let (start, isBelow) = bucket.multipliedReportingOverflow(by: ServiceBucket.width)
        let first = isBelow ? Int64.min : start
        let (end, isAbove) = (bucket + 1).multipliedReportingOverflow(by: ServiceBucket.width)
        return first...(isAbove ? .max : end - 1)
    }

    /// Adds lines of the same bucket.
    mutating func add(_ other: LineGroup) {
        firstNanos = min(firstNanos, other.firstNanos)
        lastNanos = max(lastNanos, other.lastNanos)
        lines &+= other.lines
        errors &+= other.errors
    }

    /// In order of appearance; a stream whose lines go back and forth between buckets has several
    /// of one bucket.
    static func groups(of batch: LogBatch) -> [LineGroup] {
        var groups: [LineGroup] = []
        // The latest group of each stream.
        var latest = [Int](repeating: -1, count: batch.streams.count)
        batch.arena.withUnsafeBytes { arena in
            let streamErrors = batch.streams.map {
                isErrorLevel(
                    UnsafeRawBufferPointer(rebasing: arena[$0.slice.range]), ofStream: true)
                    ?? false
            }
            // Most rows have a level that others have too, in the same bytes.
            var seen = [(metadata: ByteSlice, isError: Bool)](
                repeating: (.empty, false), count: 16)
            func isError(_ metadata: ByteSlice, _ stream: Int) -> Bool {
                if metadata.isEmpty { return streamErrors[stream] }
                let slot = Int(metadata.offset / 8 % 16)
                if seen[slot].metadata == metadata { return seen[slot].isError }
                let bytes = UnsafeRawBufferPointer(rebasing: arena[metadata.range])
                guard let found = isErrorLevel(bytes, ofStream: false) else {
                    return streamErrors[stream]
                }
                seen[slot] = (metadata, found)
                return found
            }
            var row = 0
            while row < batch.rowCount {
                // Rows of a stream and bucket mostly lie together.
                let stream = Int(batch.rowStreams[row])
                var run = LineGroup(stream: stream, nanos: batch.nanos[row])
                let bounds = run.bounds
                repeat {
                    let nanos = batch.nanos[row]
                    guard bounds.contains(nanos) else { break }
                    run.firstNanos = min(run.firstNanos, nanos)
                    run.lastNanos = max(run.lastNanos, nanos)
                    run.lines &+= 1
                    if isError(batch.metadata[row], stream) { run.errors &+= 1 }
                    row &+= 1
                } while row < batch.rowCount && Int(batch.rowStreams[row]) == stream
                if latest[stream] >= 0, groups[latest[stream]].bucket == run.bucket {
                    groups[latest[stream]].add(run)
                } else {
                    latest[stream] = groups.count
                    groups.append(run)
                }
            }
        }
        return groups
    }

    /// Nil when the labels have no level.
    private static func isErrorLevel(
        _ labels: UnsafeRawBufferPointer, ofStream: Bool
    ) -> Bool? {
        if labels.isEmpty { return nil }
        func value(_ name: StaticString) -> UnsafeRawBufferPointer? {
            labelValue(
                of: name.bytes,
                in: labels)
        }
        let level = value("detected_level") ?? (ofStream ? value("level") : nil)
        return level.map { text in
            switch text.count {
            case 5: isFolded(text, "error") || isFolded(text, "fatal")
            case 8: isFolded(text, "critical")
            default: false
            }
        }
    }

    private static func isFolded(_ text: UnsafeRawBufferPointer, _ level: StaticString) -> Bool {
        text.indices.allSatisfy { text[$0] | 0x20 == level.utf8Start[$0] }
    }
}

/// Streams that their services know, by day, so that labels are looked at once; and lines of theirs
/// that were counted but that their services were not told of yet: for most batches that is a look-up
/// and an addition for each stream.
struct KnownStreams: Sendable {
    struct Key: Hashable {
        var day: Int32
        var hash: UInt64
    }
    /// Lines of one stream in one bucket.
    struct Counted {
        /// Nil for a stream that names no service.
        var service: String?
        /// None when `lines` is 0.
        var group: LineGroup
    }
    /// At which it is begun afresh: some 8 MB.
    private static let most = 1 << 16
    private var numbers: [Key: Int] = [:]
    private var entries: [Counted] = []

    var byteCount: Int { entries.count * 128 }
    var isFull: Bool { entries.count >= KnownStreams.most }

    /// Counts lines of a stream.
    ///
    /// - Returns: nil when the stream is not known; what its service has to be told, which is lines of
    ///   another bucket.
    mutating func add(_ group: LineGroup, to key: Key) -> Counted?? {
        guard let number = numbers[key] else { return nil }
        let before = entries[number]
        if before.group.lines > 0, before.group.bucket == group.bucket {
            entries[number].group.add(group)
            return .some(nil)
        }
        entries[number].group = group
        return before.group.lines > 0 ? before : .some(nil)
    }

    /// Adds a stream with its first lines; forgets all others when it is full, which have to be taken
    /// before.
    mutating func add(_ key: Key, _ service: String?, _ group: LineGroup) {
        if isFull {
            numbers.removeAll(keepingCapacity: true)
            entries.removeAll(keepingCapacity: true)
        }
        numbers[key] = entries.count
        entries.append(Counted(service: service, group: group))
    }

    /// What services have to be told; afterwards nothing is left.
    mutating func takeCounted() -> [Counted] {
        var taken: [Counted] = []
        for number in entries.indices where entries[number].group.lines > 0 {
            taken.append(entries[number])
            entries[number].group.lines = 0
        }
        return taken
    }
}
