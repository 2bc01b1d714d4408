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
/// Each segment header and each record names the highest sequence that was acknowledged before it
/// was written. So a record is final as soon as a later one acknowledges it. The beginning of a
/// segment ends all others: what stands above its figure in earlier segments was refused, or is
/// written again here, and is dropped. What is left at the end is *unproven*.
///
/// Damage leaves a *doubt*: either the machine stopped, or a write failed, before the bytes were
/// acknowledged (then nothing behind it in that segment was acknowledged either), or acknowledged
/// bytes went bad. The next figure decides: if more is acknowledged than was seen before the
/// damage, bytes are lost, which is reported, and the records held back meanwhile count; otherwise
/// they are dropped.
struct LogRecovery {
    /// First sequence that is not in parts yet.
    let covered: UInt64
    private(set) var faults: [StorageFault] = []
    /// Records handed on.
    private(set) var recordCount = 0
    /// Records dropped because they never were acknowledged where they stand.
    private(set) var supersededCount = 0
    /// Where the last segment has to be cut, when it ends in bytes that never were acknowledged.
    private(set) var tear: (file: String, offset: Int, problem: String)?
    /// After `finish`: records handed on of which nothing proves that they are durable, the last
    /// group of a log without a clean end. They can be read, but after a failed sync and a kill
    /// that means nothing.
    private(set) var unproven: [RecoveredRecord] = []
    /// Everything up to here is durable for certain, in the log or in parts.
    var proven: UInt64 { max(acknowledged, covered &- 1) }

    private struct Doubt {
        var file: String
        var before: UInt64
        /// End of the last whole record before the damage.
        var offset: Int
        var faults: [StorageFault]
        var held: [RecoveredRecord]
    }
    private var doubt: Doubt?
    private var badHeader: (fault: StorageFault, sequence: UInt64)?
    /// The highest figure of acknowledgement so far.
    private var acknowledged: UInt64 = 0
    /// Sequence of the last record that stands, or what the last segment begins after.
    private var position: UInt64 = 0
    /// Highest sequence ever seen, dropped records included.
    private var highest: UInt64
    private let deliver: (RecoveredRecord) throws -> Void

    init(covered: UInt64, deliver: @escaping (RecoveredRecord) throws -> Void) {
        self.covered = covered
        highest = covered &- 1
        self.deliver = deliver
    }

    /// The sequence for the next record.
    var nextSequence: UInt64 { highest &+ 1 }

    // MARK: - Segments

    /// - Returns: the highest sequence of a whole record in the segment, or nil without any.
    mutating func read(_ bytes: [UInt8], file: String, number: UInt64) throws -> UInt64? {
        var last: UInt64?
        try bytes.withUnsafeBytes { raw in
            var scanner = SegmentScanner(raw, number: number)
            var begun = false
            if let acknowledged = scanner.acknowledged {
                try begin(acknowledged, file)
                begun = true
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
                    // The first group of a segment names the same figure as its header.
                    if !begun { try begin(header.acknowledged, file) }
                    begun = true
                    if let fault = headerFault {
                        // Only the segment header is bad: no record can hide in it. Whether it ever
                        // was good is known once this record is acknowledged.
                        badHeader = (fault, header.sequence)
                        headerFault = nil
                    }
                    end = min(offset + header.totalCount, raw.count)
                    last = max(last ?? 0, header.sequence)
                    try take(
                        RecoveredRecord(
                            header: header, file: file, offset: offset, segment: bytes,
                            stored: stored))
                }
            }
            if let fault = headerFault { question(fault, after: 0, nil) }
        }
        return last
    }

    /// Call after the last segment: what is still in doubt never was acknowledged.
    mutating func finish(lastFile: String?) throws {
        if let doubt {
            if doubt.file == lastFile,
                let first = doubt.faults.first(where: { $0.file == lastFile })
            {
                let also = doubt.held.isEmpty ? "" : ", and \(doubt.held.count) records after it"
                tear = (doubt.file, doubt.offset, first.problem + also)
            }
            supersededCount += doubt.held.count
            self.doubt = nil
        }
        for record in unproven { try handOn(record) }
        unproven.removeAll { $0.header.type == LogFormat.endType || $0.header.sequence < covered }
    }

    private mutating func begin(_ figure: UInt64, _ file: String) throws {
        try advance(to: figure, file, 0)
        supersededCount += unproven.count + (doubt?.held.count ?? 0)
        unproven = []
        doubt = nil
        badHeader = nil
        position = acknowledged
    }

    // MARK: - Records

    private mutating func take(_ record: RecoveredRecord) throws {
        let sequence = record.header.sequence
        highest = max(highest, sequence)
        if record.header.acknowledged > acknowledged {
            try advance(to: record.header.acknowledged, record.file, record.offset)
        }
        if doubt?.file == record.file {
            doubt?.held.append(record)
        } else {
            keep(record)
        }
    }

    private mutating func keep(_ record: RecoveredRecord) {
        position = record.header.sequence
        unproven.append(record)
    }

    /// Everything up to `acknowledged` was acknowledged: settles what was open.
    private mutating func advance(to figure: UInt64, _ file: String, _ offset: Int) throws {
        if let doubt, figure > doubt.before {
            // What is in parts already is not lost.
            if figure >= covered { faults += doubt.faults }
            self.doubt = nil
            for held in doubt.held { keep(held) }
        } else if figure > position, figure >= covered {
            faults.append(
                StorageFault(
                    file: file, offset: offset,
                    problem:
                        "records \(max(position &+ 1, covered)) to \(figure), acknowledged before this "
                        + "place, are missing"))
        }
        if let bad = badHeader, figure >= bad.sequence {
            if bad.sequence >= covered { faults.append(bad.fault) }
            badHeader = nil
        }
        acknowledged = max(acknowledged, figure)
        let settled = unproven.prefix { $0.header.sequence <= figure }
        for record in settled { try handOn(record) }
        unproven.removeFirst(settled.count)
    }

    private mutating func handOn(_ record: RecoveredRecord) throws {
        guard record.header.sequence >= covered, record.header.type != LogFormat.endType else {
            return
        }
        recordCount += 1
        try deliver(record)
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
            file: fault.file, before: doubt?.before ?? position, offset: end,
            faults: (doubt?.faults ?? []) + new, held: doubt?.held ?? [])
    }
}
