// SPDX-License-Identifier: Apache-2.0
// Reading the log after a stop of any kind.

import Base

/// Something wrong with a file, found while opening or checking.
package struct StorageFault: Sendable, Hashable, CustomStringConvertible {
    package var file: String
    /// Byte offset in the file.
    package var offset: Int
    package var problem: String

    package init(file: String, offset: Int, problem: String) {
        self.file = file
        self.offset = offset
        self.problem = problem
    }

    package var description: String { "\(file) at offset \(offset): \(problem)" }
}

/// One whole record, with the bytes of the segment it stands in.
struct RecoveredRecord: Sendable {
    var header: LogRecordHeader
    var file: String
    var offset: Int
    var segment: [UInt8]
    var stored: Range<Int>
}

/// Decides which records of the log are real, from the segments in ascending order.
///
/// Damage inside a segment leaves a *doubt*: either the machine stopped, or a write failed, before
/// the bytes were acknowledged (then whatever follows in that segment was not acknowledged either,
/// and may stand again in the next one), or acknowledged bytes went bad. Each record names what was
/// acknowledged before it, so the first later record decides: if it acknowledges more than was
/// seen before the damage, acknowledged bytes are lost, which is reported, and the records held
/// back meanwhile count; otherwise they are dropped.
struct LogRecovery {
    /// First sequence that is not in parts yet.
    let covered: UInt64
    private(set) var faults: [StorageFault] = []
    /// Records handed on.
    private(set) var recordCount = 0
    /// Records that stood in the log twice.
    private(set) var duplicateCount = 0
    /// Highest sequence in the log so far, in file order; nil before the first record.
    private(set) var position: UInt64?
    /// Where the last segment has to be cut, when it ends in bytes that never were acknowledged.
    private(set) var tear: (file: String, offset: Int, problem: String)?

    private struct Doubt {
        var file: String
        var before: UInt64
        /// End of the last whole record before the damage.
        var offset: Int
        var faults: [StorageFault]
        var held: [RecoveredRecord]
    }
    private var doubt: Doubt?
    private let deliver: (RecoveredRecord) throws -> Void

    init(covered: UInt64, deliver: @escaping (RecoveredRecord) throws -> Void) {
        self.covered = covered
        self.deliver = deliver
    }

    /// Highest sequence that is durable, in the log or in parts.
    var acknowledged: UInt64 { max(position ?? 0, covered &- 1) }

    /// - Returns: the highest sequence of a whole record in the segment, or nil without any.
    mutating func read(_ bytes: [UInt8], file: String, number: UInt64) throws -> UInt64? {
        var highest: UInt64?
        try bytes.withUnsafeBytes { raw in
            var scanner = SegmentScanner(raw, number: number)
            if position == nil, let before = scanner.acknowledged {
                if before >= covered {
                    faults.append(
                        StorageFault(
                            file: file, offset: 0,
                            problem: "records \(covered) to \(before), acknowledged before this "
                                + "segment, are missing"))
                }
                position = before
            }
            var end = 0
            var headerFault: StorageFault?
            while let event = scanner.next() {
                switch event {
                case .damage(0, let problem):
                    headerFault = StorageFault(file: file, offset: 0, problem: problem)
                case .damage(let offset, let problem):
                    let fault = StorageFault(file: file, offset: offset, problem: problem)
                    question(fault, after: end, headerFault)
                    headerFault = nil
                case .record(let header, let offset, let stored):
                    if let fault = headerFault {
                        // Only the segment header is bad: no record can hide in it.
                        faults.append(fault)
                        headerFault = nil
                    }
                    end = min(offset + header.totalCount, raw.count)
                    highest = max(highest ?? 0, header.sequence)
                    try take(
                        RecoveredRecord(
                            header: header, file: file, offset: offset, segment: bytes,
                            stored: stored))
                }
            }
            if let fault = headerFault { question(fault, after: 0, nil) }
        }
        return highest
    }

    /// Call after the last segment: what is still in doubt never was acknowledged.
    mutating func finish(lastFile: String?) {
        guard let doubt else { return }
        if doubt.file == lastFile,
            let first = doubt.faults.first(where: { $0.file == lastFile })
        {
            let also = doubt.held.isEmpty ? "" : ", and \(doubt.held.count) records after it"
            tear = (doubt.file, doubt.offset, first.problem + also)
        }
        self.doubt = nil
    }

    private mutating func question(
        _ fault: StorageFault, after end: Int, _ header: StorageFault?
    ) {
        let new = [header, fault].compactMap { $0 }
        if doubt?.file == fault.file {
            doubt?.faults += new
            return
        }
        doubt = Doubt(
            file: fault.file, before: position ?? (covered &- 1), offset: end,
            faults: (doubt?.faults ?? []) + new, held: doubt?.held ?? [])
    }

    private mutating func take(_ record: RecoveredRecord) throws {
        if let doubt {
            if record.header.acknowledged > doubt.before {
                faults += doubt.faults
                self.doubt = nil
                for held in doubt.held where held.header.sequence <= record.header.acknowledged {
                    try accept(held)
                }
            } else if record.file == doubt.file {
                self.doubt?.held.append(record)
                return
            } else {
                self.doubt = nil
            }
        } else if record.header.acknowledged > acknowledged {
            faults.append(
                StorageFault(
                    file: record.file, offset: record.offset,
                    problem: "records \(acknowledged + 1) to \(record.header.acknowledged), "
                        + "acknowledged before this one, are missing"))
        }
        try accept(record)
    }

    private mutating func accept(_ record: RecoveredRecord) throws {
        let sequence = record.header.sequence
        guard sequence > position ?? 0 else {
            duplicateCount += 1
            return
        }
        position = sequence
        guard sequence >= covered, record.header.type != LogFormat.endType else { return }
        recordCount += 1
        try deliver(record)
    }
}
