// SPDX-License-Identifier: Apache-2.0
// What the queue's own thread does.

import Base

extension ForwardQueue {
    private struct Work {
        var batches: [Pending] = []
        /// Highest request to make things durable.
        var ticket: Int?
        var boundary: UInt64 = 0
        var isEnd = false
    }

    /// The segment in use. After a failed write or sync it is left for good.
    private struct Writer {
        var file: (any WritableFile)?
        var number: UInt64 = 0
        var offset = 0
    }

    /// Bytes of records of one write.
    private static let groupBytes = 4 << 20
    private static let retryNanos: Int64 = 1_000_000_000

    /// Body of the thread.
    func run() {
        var writer = Writer()
        while true {
            var work = state.wait { take(&$0) }
            let failure = perform(&work, &writer)
            if failure != nil { abandon(&writer) }
            if failure == nil { dropOverBound() }
            settle(work, failure)
            if work.isEnd {
                writer.file?.close()
                return
            }
        }
    }

    private func take(_ state: inout State) -> Work? {
        let mayWrite = state.failure == nil || state.isRetryDue
        let isAsked = state.asked > state.done
        guard isAsked || state.isStopping || (mayWrite && !state.pending.isEmpty) else {
            return nil
        }
        var work = Work()
        swap(&work.batches, &state.pending)
        work.ticket = isAsked ? state.asked : nil
        work.boundary = state.askedBoundary
        work.isEnd = state.isStopping
        state.isRetryDue = false
        return work
    }

    /// Writes what `work` holds and takes it out of there. Returns what went wrong.
    private func perform(_ work: inout Work, _ writer: inout Writer) -> String? {
        do throws(FileError) {
            while !work.batches.isEmpty { try writeGroup(&work, &writer) }
            if work.ticket != nil {
                try writer.file?.sync()
                try save(work.boundary)
            }
            return nil
        } catch { return error.description }
    }

    private func writeGroup(_ work: inout Work, _ writer: inout Writer) throws(FileError) {
        var pieces: [[UInt8]] = []
        var added = Segment(number: 0, byteCount: 0)
        var plain = 0
        let limit = min(ForwardQueue.groupBytes, limits.segmentBytes)
        var offsets: [Int] = []
        for batch in work.batches {
            let record = ForwardRecordHeader.record(
                batch.payload, tenant: batch.tenant, sequence: batch.sequence,
                millis: batch.millis, points: batch.points)
            if !pieces.isEmpty, added.byteCount + record.count > limit { break }
            pieces.append(record)
            offsets.append(added.byteCount)
            added.byteCount += record.count
            added.points += batch.points
            added.newestMillis = max(added.newestMillis, batch.millis)
            plain += batch.payload.count
        }
        if writer.file == nil
            || (writer.offset + added.byteCount > limits.segmentBytes
                && writer.offset > ForwardFormat.headerCount)
        {
            try begin(&writer)
        }
        try writer.file?.write(pieces, at: writer.offset)
        let written = zip(work.batches, offsets).map { [writer] batch, offset in
            (
                batch.sequence,
                ForwardPosition(segment: writer.number, offset: writer.offset + offset)
            )
        }
        writer.offset += added.byteCount
        work.batches.removeFirst(pieces.count)
        state.change { state in
            state.recent += written
            state.pendingBytes -= plain
            guard let last = state.segments.indices.last else { return }
            state.segments[last].byteCount += added.byteCount
            state.segments[last].points += added.points
            state.segments[last].newestMillis = max(
                state.segments[last].newestMillis, added.newestMillis)
        }
    }

    private func begin(_ writer: inout Writer) throws(FileError) {
        // What a later request syncs is the segment in use alone.
        try writer.file?.sync()
        writer.file?.close()
        writer.file = nil
        let number = state.withLock { state in
            defer { state.nextNumber += 1 }
            return state.nextNumber
        }
        let file = try files.create(path(number))
        let header = ForwardFormat.segmentHeader(number)
        try file.write([header], at: 0)
        writer = Writer(file: file, number: number, offset: header.count)
        state.withLock { state in
            state.segments.append(Segment(number: number, byteCount: header.count))
        }
    }

    private func save(_ boundary: UInt64) throws(FileError) {
        let mark = state.withLock { state in
            let boundary = max(boundary, state.mark?.boundary ?? 0)
            state.recent.removeAll { $0.sequence < boundary }
            // Whoever opens the queue next looks from there on for what it has already.
            return ForwardMark(
                boundary: boundary, place: state.recent.map(\.place).min() ?? state.end)
        }
        try files.replace(directory + "/state", in: directory, with: mark.bytes)
        state.withLock { state in
            state.mark = mark
            state.known = []
        }
    }

    private func abandon(_ writer: inout Writer) {
        guard let file = writer.file else { return }
        writer.file = nil
        // What came before a failed write may still be made durable; its records can be read.
        do throws(FileError) { try file.sync() } catch {
            warn("forwarding: \(error): a power cut now could lose what is queued")
        }
        file.close()
    }

    private func settle(_ work: Work, _ failure: String?) {
        let retryAt = clock.monotonicNanos &+ ForwardQueue.retryNanos
        let limit = limits.pendingBytes
        let (lost, isNew) = state.change { state -> (String?, Bool) in
            let isNew = failure != nil && state.failure == nil
            state.failure = failure
            state.retryAtNanos = retryAt
            state.pending = work.batches + state.pending
            if let ticket = work.ticket {
                state.done = max(state.done, ticket)
                state.syncFailure = failure
            }
            return (state.shorten(to: limit), isNew)
        }
        if isNew, let failure { warn("forwarding: \(failure); tried again with the next batch") }
        if let lost { warn(lost) }
    }

    /// Removes the oldest segments while there are too many bytes or they are too old.
    func dropOverBound() {
        let oldest = clock.wallNanos / 1_000_000 - Int64(min(limits.maxAgeSeconds, 9e9) * 1000)
        let (numbers, points) = state.change { state -> ([UInt64], Int) in
            var numbers: [UInt64] = []
            var points = 0
            var total = state.segments.reduce(0) { $0 + $1.byteCount }
            while state.segments.count > 1, let first = state.segments.first,
                total > limits.maxBytes || first.newestMillis < oldest
            {
                total -= first.byteCount
                points = max(points, state.leave(first))
                state.segments.removeFirst()
                numbers.append(first.number)
            }
            return (numbers, points)
        }
        remove(numbers)
        if points > 0 {
            warn(
                "forwarding: \(points) samples dropped unsent: the queue holds at most "
                    + "\(limits.maxBytes) bytes and \(limits.maxAgeSeconds) s")
        }
    }

    /// Removes segment files that no cursor needs any more. A file that stays is found at the next
    /// start.
    func remove(_ numbers: [UInt64]) {
        for number in numbers {
            do throws(FileError) { try files.remove(path(number)) } catch {
                if !error.isMissing { warn("forwarding: \(error)") }
            }
        }
    }

    func path(_ number: UInt64) -> String { directory + "/" + ForwardFormat.name(number) }
}

extension ForwardQueue.State {
    /// The place after the last record.
    var end: ForwardPosition {
        guard let last = segments.last else {
            return ForwardPosition(segment: nextNumber, offset: ForwardFormat.headerCount)
        }
        return ForwardPosition(segment: last.number, offset: last.byteCount)
    }

    /// Moves every cursor out of a segment that goes. Returns the most points that one destination
    /// loses.
    mutating func leave(_ segment: ForwardQueue.Segment) -> Int {
        var most = 0
        let next = segments.count > 1 ? segments[1].number : nextNumber
        for (name, destination) in destinations
        where destination.cursor.place.segment <= segment.number {
            let isInside = destination.cursor.place.segment == segment.number
            let lost = segment.points - (isInside ? destination.cursor.points : 0)
            most = max(most, lost)
            destinations[name]?.dropped += lost
            destinations[name]?.cursor.place = ForwardPosition(
                segment: next, offset: ForwardFormat.headerCount)
            destinations[name]?.cursor.points = 0
            if let end = destination.cursor.window?.end, end.segment <= segment.number {
                destinations[name]?.cursor.window = nil
            }
        }
        return most
    }
}
