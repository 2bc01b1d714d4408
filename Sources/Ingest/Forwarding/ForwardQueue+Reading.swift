// SPDX-License-Identifier: Apache-2.0
// Destinations read.

import Base

/// A stretch of the queue, read.
struct ForwardWindow: Sendable {
    var records: [ForwardRecord] = []
    var end: ForwardPosition
    /// Points of the last segment that lie before `end`.
    var points: Int
    /// Points that were too old or damaged.
    var lost = 0
    /// The number of shards that it was cut for before a restart; nil for a new one.
    var shards: Int?
}

extension ForwardQueue {
    /// Most bytes of batches that one window holds; one larger batch may be alone.
    private static let windowBytes = 64 << 20
    private static let readBytes = 1 << 20

    /// Reads on from a destination's cursor: as many batches as hold `wanted` points, or exactly
    /// what was under way before a restart. Nil when there is nothing. Blocks.
    func read(_ name: String, points wanted: Int) throws(FileError) -> ForwardWindow? {
        let snapshot = state.withLock { state in
            state.destinations[name].map { ($0.cursor, state.segments) }
        }
        guard let (cursor, segments) = snapshot else { return nil }
        var window = ForwardWindow(end: cursor.place, points: cursor.points)
        window.shards = cursor.window?.shards
        let stop = cursor.window?.end
        let oldest = clock.wallNanos / 1_000_000 - Int64(min(limits.maxAgeSeconds, 9e9) * 1000)
        var points = 0, bytes = 0
        for segment in segments where segment.number >= cursor.place.segment {
            if let stop, segment.number > stop.segment { break }
            if segment.number > window.end.segment {
                window.end = ForwardPosition(
                    segment: segment.number, offset: ForwardFormat.headerCount)
                window.points = 0
            }
            let end = stop.map { $0.segment == segment.number ? $0.offset : .max } ?? .max
            var buffer = Buffer(path: path(segment.number), end: min(segment.byteCount, end))
            while stop != nil || (points < wanted && bytes < ForwardQueue.windowBytes) {
                guard window.end.offset < buffer.end else { break }
                guard let header = try buffer.header(at: window.end.offset, files) else {
                    // Checked when it was opened or written: the disk has lost it since.
                    warn("forwarding: segment \(segment.number) cannot be read to its end")
                    window.lost += max(0, segment.points - window.points)
                    window.end.offset = segment.byteCount
                    window.points = segment.points
                    break
                }
                let record = try buffer.record(header, at: window.end.offset, files)
                window.end.offset += header.totalCount
                window.points += header.points
                points += header.points
                bytes += header.plainCount
                if let record, record.millis >= oldest {
                    window.records.append(record)
                } else {
                    window.lost += header.points
                }
            }
            if stop == nil, points >= wanted || bytes >= ForwardQueue.windowBytes { break }
        }
        return window.end == cursor.place ? nil : window
    }

    /// Notes that a window is being sent, and in how many shards it was cut. Blocks.
    func begin(_ name: String, _ window: ForwardWindow, shards: Int) throws(FileError) {
        try move(name) { cursor in
            cursor.window = ForwardCursor.Window(end: window.end, shards: shards)
        }
        if window.lost > 0 {
            state.withLock { $0.destinations[name]?.dropped += window.lost }
            warn("forwarding to \(name): \(window.lost) samples dropped: too old or damaged")
        }
    }

    /// A window has arrived, or was refused for good. Blocks.
    func advance(_ name: String, past window: ForwardWindow) throws(FileError) {
        try move(name) { cursor in
            cursor.window = nil
            // The bound may have moved the cursor further meanwhile.
            guard window.end > cursor.place else { return }
            cursor.place = window.end
            cursor.points = window.points
        }
        dropReadSegments()
    }

    private func move(
        _ name: String, _ change: (inout ForwardCursor) -> Void
    ) throws(FileError) {
        let moved = state.withLock { state -> (ForwardCursor, any WritableFile)? in
            guard var destination = state.destinations[name] else { return nil }
            change(&destination.cursor)
            destination.cursor.count &+= 1
            state.destinations[name] = destination
            return (destination.cursor, destination.file)
        }
        if let (cursor, file) = moved { try write(cursor, file) }
    }

    /// Pieces of a segment file.
    private struct Buffer {
        let path: String
        let end: Int
        private var start = 0
        private var bytes: [UInt8] = []

        init(path: String, end: Int) {
            self.path = path
            self.end = end
        }

        /// Makes `count` bytes from `offset` available, fewer at the end.
        private mutating func load(
            _ offset: Int, _ count: Int, _ files: any FileSystem
        ) throws(FileError) {
            if offset >= start, offset + count <= start + bytes.count { return }
            bytes = try files.read(
                path, offset: offset, count: min(max(count, readBytes), max(0, end - offset)))
            start = offset
        }

        mutating func header(
            at offset: Int, _ files: any FileSystem
        ) throws(FileError) -> ForwardRecordHeader? {
            try load(offset, ForwardFormat.recordHeaderCount, files)
            let header = bytes.withUnsafeBytes {
                ForwardRecordHeader.parse($0, at: offset - start)
            }
            guard let header, header.totalCount <= end - offset else { return nil }
            return header
        }

        /// Nil when its content is damaged.
        mutating func record(
            _ header: ForwardRecordHeader, at offset: Int, _ files: any FileSystem
        ) throws(FileError) -> ForwardRecord? {
            try load(offset, header.totalCount, files)
            let first = offset - start + ForwardFormat.recordHeaderCount
            guard first <= bytes.count else { return nil }
            return bytes.withUnsafeBytes {
                header.content(UnsafeRawBufferPointer(rebasing: $0[first...]))
            }
        }
    }
}
