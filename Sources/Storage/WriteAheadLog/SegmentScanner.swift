// SPDX-License-Identifier: Apache-2.0
// Walking through the bytes of one segment, damaged or not.

import Base

/// What the scanner comes upon, in file order.
enum SegmentEvent: Sendable, Equatable {
    /// A whole record; `stored` is its payload's place in the file.
    case record(header: LogRecordHeader, offset: Int, stored: Range<Int>)
    /// Bytes that are no record, from `offset` to the next event.
    case damage(offset: Int, problem: String)
}

/// A cursor over a segment. It never stops at damage: it looks for the next record that carries
/// the segment's mark, 8 bytes at a time.
struct SegmentScanner {
    private let bytes: UnsafeRawBufferPointer
    private var offset: Int
    private var mark: UInt64?
    private var headerProblem: String?
    /// The highest sequence that was durable when the segment was begun, if its header is whole.
    private(set) var acknowledged: UInt64?

    init(_ bytes: UnsafeRawBufferPointer, number: UInt64) {
        self.bytes = bytes
        offset = LogFormat.headerCount
        guard bytes.count >= LogFormat.headerCount else {
            headerProblem = "\(bytes.count) bytes are no segment header"
            return
        }
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<LogFormat.headerCount])
        let crc = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 40, as: UInt32.self))
        guard header.prefix(8).elementsEqual(LogFormat.magic) else {
            headerProblem = "segment header: wrong magic"
            return
        }
        guard crc32c(UnsafeRawBufferPointer(rebasing: header[..<40])) == crc else {
            headerProblem = "segment header: checksum differs"
            return
        }
        let version = UInt16(littleEndian: header.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        let found = UInt64(littleEndian: header.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
        if version != LogFormat.version {
            headerProblem = "log version \(version), this program reads \(LogFormat.version)"
            offset = bytes.count
        } else if found != number {
            headerProblem = "segment calls itself number \(found)"
        }
        mark = UInt64(littleEndian: header.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
        acknowledged = UInt64(
            littleEndian: header.loadUnaligned(fromByteOffset: 32, as: UInt64.self))
    }

    /// The next event, or nil at the end.
    mutating func next() -> SegmentEvent? {
        if let problem = headerProblem {
            headerProblem = nil
            return .damage(offset: 0, problem: problem)
        }
        guard offset < bytes.count else { return nil }
        let start = offset
        guard let header = acceptable(at: start) else {
            offset = start + LogFormat.alignment
            while offset < bytes.count, acceptable(at: offset) == nil {
                offset += LogFormat.alignment
            }
            return .damage(offset: start, problem: describe(start))
        }
        let first = start + LogFormat.recordHeaderCount
        guard header.storedCount <= bytes.count - first else {
            // The header is whole, so its length is true: nothing can follow it.
            offset = bytes.count
            return .damage(
                offset: start,
                problem: "record \(header.sequence) of \(header.storedCount) bytes is cut short")
        }
        offset = start + header.totalCount
        let stored = first..<(first + header.storedCount)
        guard crc32c(UnsafeRawBufferPointer(rebasing: bytes[stored])) == header.payloadCRC else {
            return .damage(
                offset: start, problem: "checksum of record \(header.sequence) differs")
        }
        // A segment whose own header is damaged is known by the mark of its first record.
        if mark == nil { mark = header.mark }
        return .record(header: header, offset: start, stored: stored)
    }

    private func acceptable(at offset: Int) -> LogRecordHeader? {
        guard let header = LogRecordHeader.parse(bytes, at: offset) else { return nil }
        guard let mark, header.mark != mark else { return header }
        return nil
    }

    private func describe(_ start: Int) -> String {
        let rest = bytes.count - start
        if rest < LogFormat.recordHeaderCount { return "\(rest) bytes are no record header" }
        let magic = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self))
        return magic == LogFormat.recordMagic
            ? "checksum of a record header differs" : "no record begins here"
    }
}
