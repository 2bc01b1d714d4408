// SPDX-License-Identifier: Apache-2.0
// The file that the log is writing to.

import Base

/// Owned by the log's thread. A segment that once failed is left for good: after a failed sync
/// nobody knows which of its bytes are durable.
struct SegmentWriter {
    private struct Active {
        var file: any WritableFile
        var number: UInt64
        var mark: UInt64
        /// End of the last acknowledged record.
        var offset: Int
    }

    let directory: String
    let files: any FileSystem
    let random: any RandomSource
    private var active: Active?
    private var nextNumber: UInt64

    init(
        directory: String, files: any FileSystem, random: any RandomSource, nextNumber: UInt64
    ) {
        self.directory = directory
        self.files = files
        self.random = random
        self.nextNumber = nextNumber
    }

    /// Number of the segment in use.
    var number: UInt64? { active?.number }
    /// Bytes in it.
    var offset: Int { active?.offset ?? 0 }

    func path(_ number: UInt64) -> String { directory + "/" + LogFormat.name(number) }

    /// Leaves the segment in use; the next group begins another one.
    mutating func cut() {
        active?.file.close()
        active = nil
    }

    /// Begins a segment whose name is durable when this returns; its header is synced with the
    /// first group.
    mutating func begin(acknowledged: UInt64) throws(FileError) {
        cut()
        let number = nextNumber
        nextNumber += 1
        let mark = random.next()
        let file = try files.create(path(number))
        let header = LogFormat.segmentHeader(
            mark: mark, number: number, acknowledged: acknowledged)
        do throws(FileError) {
            try file.write([header], at: 0)
            try files.syncDirectory(directory)
        } catch {
            file.close()
            discard(number)
            throw error
        }
        active = Active(file: file, number: number, mark: mark, offset: header.count)
    }

    /// Writes and syncs records, which are durable when this returns.
    ///
    /// - Returns: bytes written.
    mutating func append(
        _ records: inout [PendingCommit], acknowledged: UInt64
    ) throws(FileError) -> Int {
        guard let current = active else {
            throw FileError(.write, directory, code: FileError.missing)
        }
        var pieces: [[UInt8]] = []
        pieces.reserveCapacity(records.count * 3)
        var count = 0
        for index in records.indices {
            records[index].record.seal(
                mark: current.mark, sequence: records[index].sequence, acknowledged: acknowledged)
            pieces += records[index].record.pieces
            count += records[index].record.count
        }
        try current.file.write(pieces, at: current.offset)
        try current.file.sync()
        active?.offset += count
        return count
    }

    /// Leaves a segment whose write or sync failed. What was acknowledged stays; cutting off the
    /// rest is an attempt only, recovery copes without.
    mutating func abandon() {
        guard let current = active else { return }
        active = nil
        if current.offset > LogFormat.headerCount {
            _ = attempt { () throws(FileError) in try current.file.truncate(to: current.offset) }
            current.file.close()
        } else {
            current.file.close()
            discard(current.number)
        }
    }

    private func discard(_ number: UInt64) {
        _ = attempt { () throws(FileError) in try files.remove(path(number)) }
    }

    /// Runs a clean-up whose failure changes nothing: the fault that led here is reported already.
    private func attempt(_ body: () throws(FileError) -> Void) -> Bool {
        do throws(FileError) {
            try body()
            return true
        } catch { return false }
    }
}

/// A commit on its way through the log's thread.
struct PendingCommit: Sendable {
    var record: LogRecord
    var sequence: UInt64
    var generation: UInt64
    /// Nil for the record that ends a log.
    var continuation: CheckedContinuation<Result<CommitTicket, CommitError>, Never>?
}
