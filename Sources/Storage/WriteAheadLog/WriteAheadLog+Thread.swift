// SPDX-License-Identifier: Apache-2.0
// What the log's own thread does.

import Base

extension WriteAheadLog {
    /// What the thread found to do.
    private struct Work {
        var group: [PendingCommit] = []
        var probe = false
        var cut = false
        var end = false
        var refusing = false
        var acknowledged: UInt64 = 0
    }

    private struct SpaceCheck {
        var atNanos: Int64?
        var bytesSince = 0
    }

    /// Body of the thread.
    func run() {
        var writer = SegmentWriter(
            directory: options.directory, files: files, random: random,
            nextNumber: options.nextNumber)
        var space = SpaceCheck()
        while true {
            var work = state.wait { take(&$0) }
            if work.cut {
                writer.cut()
                state.change { state in
                    state.cut = false
                    state.activeNumber = nil
                }
            }
            if !work.group.isEmpty || work.probe {
                let reason = write(&work, &writer, &space)
                settle(work, refusal: reason, writer)
            }
            if work.end {
                finish(&writer)
                return
            }
        }
    }

    private func take(_ state: inout State) -> Work? {
        guard !state.queue.isEmpty || state.probe || state.cut || state.stopping else { return nil }
        var work = Work()
        var count = 0
        var bytes = 0
        for pending in state.queue {
            let next = bytes + pending.record.count
            if count > 0 && (next > Self.maxGroupBytes || count == 1024) { break }
            bytes = next
            count += 1
        }
        if count == state.queue.count {
            swap(&work.group, &state.queue)
        } else {
            work.group = Array(state.queue[..<count])
            state.queue.removeFirst(count)
        }
        state.queuedBytes -= bytes
        work.probe = state.probe
        work.cut = state.cut
        work.end = state.stopping && state.queue.isEmpty
        work.refusing = state.refusal != nil
        work.acknowledged = state.acknowledged
        state.probe = false
        return work
    }

    /// Makes a group durable.
    ///
    /// - Returns: nil, or why commits are refused from now on.
    private func write(
        _ work: inout Work, _ writer: inout SegmentWriter, _ space: inout SpaceCheck
    ) -> String? {
        let count = work.group.reduce(0) { $0 + $1.record.count }
        if let reason = shortage(count, work.refusing, &space) { return reason }
        space.bytesSince += count
        for attempt in 1...2 {
            do throws(FileError) {
                if writer.number == nil
                    || (writer.offset + count > options.segmentBytes
                        && writer.offset > LogFormat.headerCount)
                {
                    try writer.begin(acknowledged: work.acknowledged)
                    noteSegment(writer)
                }
                let began = clock.monotonicNanos
                let written = try writer.append(&work.group, acknowledged: work.acknowledged)
                let took = clock.monotonicNanos - began
                state.withLock { state in
                    state.counters.groups += 1
                    state.counters.syncs += 1
                    state.counters.syncNanos += took
                    state.counters.bytes += written
                    state.counters.commits += work.group.count
                }
                return nil
            } catch {
                noteAbandoned(work, writer)
                writer.abandon()
                // With a full disk a second segment would fail the same way.
                if attempt == 2 || error.isNoSpace { return error.description }
            }
        }
        return nil
    }

    /// Completes the waiters of a group, after its sync.
    private func settle(_ work: Work, refusal: String?, _ writer: SegmentWriter) {
        let now = clock.monotonicNanos
        state.change { state in
            state.activeNumber = writer.number
            guard let refusal else {
                state.refusal = nil
                if let last = work.group.last {
                    state.acknowledged = last.sequence
                    state.noteWritten(writer, last.sequence)
                }
                return
            }
            state.refusal = Refusal(
                reason: refusal, retryAtNanos: now + WriteAheadLog.probeIntervalNanos)
            for pending in work.group { state.leave(pending.generation) }
            state.counters.refusedCommits += work.group.count
        }
        for pending in work.group {
            if let refusal {
                pending.continuation?.resume(
                    returning: .failure(.unavailable(reason: refusal, retryAfterSeconds: 1)))
            } else {
                pending.continuation?.resume(
                    returning: .success(
                        CommitTicket(
                            generation: pending.generation, sequence: pending.sequence)))
            }
        }
    }

    /// Why the disk has no room for `count` bytes; nil when it has. Asks the kernel at most once a
    /// second or every 8 MiB.
    private func shortage(_ count: Int, _ refusing: Bool, _ space: inout SpaceCheck) -> String? {
        let now = clock.monotonicNanos
        if let at = space.atNanos, now - at < 1_000_000_000, space.bytesSince < 8 << 20, !refusing {
            return nil
        }
        do throws(FileError) {
            let free = try files.freeBytes(options.directory)
            guard free - count >= options.minFreeBytes else {
                space.atNanos = nil
                return "disk full: \(free) bytes are free in \(options.directory) and "
                    + "\(options.minFreeBytes) are kept in reserve"
            }
            space = SpaceCheck(atNanos: now, bytesSince: 0)
            return nil
        } catch { return error.description }
    }

    private func noteSegment(_ writer: SegmentWriter) {
        guard let number = writer.number else { return }
        state.withLock { state in
            state.activeNumber = number
            state.segments.append(
                LogSegment(number: number, byteCount: writer.offset, lastSequence: 0))
        }
    }

    /// A failed segment may hold any record of the group, so it is kept until all are in parts.
    private func noteAbandoned(_ work: Work, _ writer: SegmentWriter) {
        guard let number = writer.number else { return }
        let last = work.group.last?.sequence ?? 0
        state.withLock { state in
            state.counters.abandonedSegments += 1
            guard let index = state.segments.firstIndex(where: { $0.number == number }) else {
                return
            }
            state.segments[index].lastSequence = max(state.segments[index].lastSequence, last)
        }
    }

    private func finish(_ writer: inout SegmentWriter) {
        let (sequence, acknowledged, refusing) = state.withLock {
            ($0.nextSequence, $0.acknowledged, $0.refusal != nil)
        }
        if writer.number != nil, !refusing {
            var end = [
                PendingCommit(
                    record: LogRecord.end(), sequence: sequence, generation: 0, continuation: nil)
            ]
            do throws(FileError) {
                _ = try writer.append(&end, acknowledged: acknowledged)
            } catch {
                // Without the end record a damaged tail cannot be told from a torn one; no data
                // depends on it.
                writer.abandon()
            }
        }
        writer.cut()
        state.change { state in
            state.activeNumber = nil
            state.cut = false
        }
    }
}

extension WriteAheadLog.State {
    fileprivate mutating func noteWritten(_ writer: SegmentWriter, _ sequence: UInt64) {
        guard let index = segments.firstIndex(where: { $0.number == writer.number }) else { return }
        segments[index].byteCount = writer.offset
        segments[index].lastSequence = sequence
    }
}
