// SPDX-License-Identifier: Apache-2.0
// Making and taking apart the bytes of a log record.

import Base

/// What one signal contributes to a commit. The kernel never looks inside.
package struct CommitSection: Sendable, Equatable {
    package var signal: Signal
    /// The payload's bytes, one piece behind the other: so a batch hands over its arena as it is.
    package var pieces: [[UInt8]]
    /// Whether compressing the payload is not worth the time: it is coded tightly, or it is soon
    /// read no more and time counts more than bytes.
    package var isCompact: Bool
    /// Bytes of the payload.
    package var count: Int { pieces.reduce(0) { $0 + $1.count } }

    package init(signal: Signal, pieces: [[UInt8]], isCompact: Bool = false) {
        self.signal = signal
        self.pieces = pieces
        self.isCompact = isCompact
    }

    package init(signal: Signal, payload: [UInt8], isCompact: Bool = false) {
        self.init(signal: signal, pieces: [payload], isCompact: isCompact)
    }
}

/// A record encoded but for the fields that the writer of the segment fills in.
struct LogRecord: Sendable {
    /// Header, stored payload and padding, one behind the other. The first piece begins with the
    /// header, which is zero until `seal`. A large payload is a piece as it came: it is not copied.
    private(set) var pieces: [[UInt8]]
    /// Bytes of all pieces.
    let count: Int
    private let storedCount: Int
    private let plainCount: Int
    private let payloadCRC: UInt32
    private let coding: LogCoding
    private let type: UInt8

    /// Payloads beyond this many bytes are pieces of their own. Smaller ones are copied, so that a
    /// gathered write takes many of them.
    private static let ownPieceFrom = 16 << 10

    /// The record that ends a log cleanly: it proves that everything before it was acknowledged.
    static func end() -> LogRecord {
        LogRecord(stored: [], plainCount: 0, .plain, LogFormat.endType)
    }

    /// A recovered record, to be written once more.
    init(_ recovered: RecoveredRecord) {
        self.init(
            stored: Array(recovered.segment[recovered.stored]),
            plainCount: recovered.header.plainCount,
            LogCoding(rawValue: recovered.header.coding) ?? .plain, recovered.header.type)
    }

    private init(stored: [UInt8], plainCount: Int, _ coding: LogCoding, _ type: UInt8) {
        var assembly = Assembly(reserving: 0)
        assembly.append(stored)
        self.init(assembly, plainCount: plainCount, coding, type)
    }

    private init(
        _ assembly: consuming Assembly, plainCount: Int, _ coding: LogCoding, _ type: UInt8
    ) {
        let stored = assembly.count - LogFormat.recordHeaderCount
        payloadCRC = assembly.finish()
        pieces = assembly.pieces
        count = LogRecord.padded(LogFormat.recordHeaderCount + stored)
        storedCount = stored
        self.plainCount = plainCount
        self.coding = coding
        self.type = type
    }

    /// Encodes a commit, compressing where that makes it smaller and is worth it. Runs on the
    /// caller's thread, so that the log's own thread only writes and syncs.
    init(tenant: String, sections: [CommitSection], preferred: LogCoding) {
        let small = sections.reduce(32 + tenant.utf8.count) { sum, section in
            section.pieces.reduce(sum + 11) {
                $0 + ($1.count <= LogRecord.ownPieceFrom ? $1.count : 0)
            }
        }
        var assembly = Assembly(reserving: small)
        assembly.last.lengthPrefixed(tenant)
        assembly.last.varint(sections.count)
        for section in sections {
            assembly.last.u8(section.signal.rawValue)
            assembly.last.varint(section.count)
            for piece in section.pieces { assembly.append(piece) }
        }
        let plainCount = assembly.count - LogFormat.recordHeaderCount
        if plainCount > LogFormat.compressAboveCount, preferred != .plain,
            !sections.allSatisfy(\.isCompact)
        {
            let plain = assembly.stored()
            let packed =
                preferred == .zstd ? Zstd.compress(plain, level: 1) : Snappy.compress(plain)
            if packed.count < plain.count {
                self.init(stored: packed, plainCount: plainCount, preferred, LogFormat.commitType)
                return
            }
        }
        self.init(assembly, plainCount: plainCount, .plain, LogFormat.commitType)
    }

    /// Pieces while they are put together: room for the header, and what is stored behind it.
    private struct Assembly {
        private(set) var pieces: [[UInt8]] = []
        /// The piece that is written to.
        var last: ByteWriter

        init(reserving count: Int) {
            last = ByteWriter(reserving: LogFormat.recordHeaderCount + count + LogFormat.alignment)
            for _ in 0..<LogFormat.recordHeaderCount { last.u8(0) }
        }

        /// Bytes so far, the header's included.
        var count: Int { pieces.reduce(last.count) { $0 + $1.count } }

        mutating func append(_ payload: [UInt8]) {
            guard payload.count > LogRecord.ownPieceFrom else {
                last.raw(payload)
                return
            }
            pieces.append(last.bytes)
            pieces.append(payload)
            last = ByteWriter()
        }

        /// What is stored, in one.
        func stored() -> [UInt8] {
            var all: [UInt8] = []
            all.reserveCapacity(count)
            for piece in pieces { all += piece }
            all += last.bytes
            all.removeFirst(LogFormat.recordHeaderCount)
            return all
        }

        /// Adds the padding and makes all of it pieces.
        ///
        /// - Returns: the checksum of what is stored.
        mutating func finish() -> UInt32 {
            var crc: UInt32 = 0
            var skipped = LogFormat.recordHeaderCount
            for piece in pieces + [last.bytes] {
                piece.withUnsafeBytes {
                    crc = crc32c(UnsafeRawBufferPointer(rebasing: $0[skipped...]), crc)
                }
                skipped = 0
            }
            for _ in count..<LogRecord.padded(count) { last.u8(0) }
            if last.count > 0 { pieces.append(last.bytes) }
            last = ByteWriter()
            return crc
        }
    }

    /// Fills in the header for one segment; again for another when the first one failed.
    mutating func seal(mark: UInt64, sequence: UInt64, acknowledged: UInt64) {
        var header = ByteWriter(reserving: LogFormat.recordHeaderCount)
        header.u64(mark)
        header.u64(sequence)
        header.u64(acknowledged)
        header.u32(UInt32(storedCount))
        header.u32(UInt32(plainCount))
        header.u32(payloadCRC)
        header.u8(type)
        header.u8(coding.rawValue)
        header.fixed(UInt16(0))
        let crc = crc32c(header.bytes)
        pieces[0].withUnsafeMutableBytes { target in
            target.storeBytes(of: LogFormat.recordMagic.littleEndian, as: UInt32.self)
            target.storeBytes(of: crc.littleEndian, toByteOffset: 4, as: UInt32.self)
            header.bytes.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: target[8...]).copyMemory(from: $0)
            }
        }
    }

    static func padded(_ count: Int) -> Int {
        (count + LogFormat.alignment - 1) & ~(LogFormat.alignment - 1)
    }
}

/// The decompressed payload of a record: a tenant and borrowed sections.
package struct LogPayload: Sendable {
    package struct Section: Sendable {
        package var signal: Signal
        package var range: Range<Int>
    }
    package var tenant: String
    package var plain: [UInt8]
    package var sections: [Section]

    /// Checks, decompresses and parses the stored bytes of a record.
    ///
    /// - Throws: `MalformedBytes` or `CompressionError` naming what is wrong.
    package init(_ stored: UnsafeRawBufferPointer, header: LogRecordHeader) throws {
        guard header.type == LogFormat.commitType else {
            throw MalformedBytes(offset: 44, expected: "a known record type, not \(header.type)")
        }
        switch LogCoding(rawValue: header.coding) {
        case .plain: plain = [UInt8](stored)
        case .snappy: plain = try Snappy.decompress(stored, limit: header.plainCount)
        case .zstd: plain = try Zstd.decompress(stored, limit: header.plainCount)
        case nil: throw MalformedBytes(offset: 45, expected: "a coding, not \(header.coding)")
        }
        guard plain.count == header.plainCount else {
            throw MalformedBytes(offset: 36, expected: "\(header.plainCount) bytes of payload")
        }
        (tenant, sections) = try plain.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let tenant = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            let n = try reader.length(limit: LogFormat.maxSections, "number of sections")
            var sections: [Section] = []
            for _ in 0..<n {
                let raw = try reader.u8()
                guard let signal = Signal(rawValue: raw) else {
                    throw reader.malformed("a signal, not \(raw)")
                }
                let count = try reader.length(limit: reader.remaining, "section size")
                let start = reader.offset
                try reader.skip(count)
                sections.append(Section(signal: signal, range: start..<(start + count)))
            }
            return (tenant, sections)
        }
    }
}
