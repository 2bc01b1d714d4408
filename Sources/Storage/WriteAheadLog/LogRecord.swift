// SPDX-License-Identifier: Apache-2.0
// Making and taking apart the bytes of a log record.

import Base

/// What one signal contributes to a commit. The kernel never looks inside.
package struct CommitSection: Sendable, Equatable {
    package var signal: Signal
    package var payload: [UInt8]
    /// Whether compressing the payload is not worth the time: it is coded tightly, or it is soon
    /// read no more and time counts more than bytes.
    package var isCompact: Bool
    package init(signal: Signal, payload: [UInt8], isCompact: Bool = false) {
        self.signal = signal
        self.payload = payload
        self.isCompact = isCompact
    }
}

/// A record encoded but for the fields that the writer of the segment fills in.
struct LogRecord: Sendable {
    /// Header, stored payload and padding. The first 48 bytes are zero until `seal`.
    private(set) var bytes: [UInt8]
    private let storedCount: Int
    private let plainCount: Int
    private let payloadCRC: UInt32
    private let coding: LogCoding
    private let type: UInt8

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
        let total = LogRecord.padded(LogFormat.recordHeaderCount + stored.count)
        bytes = []
        bytes.reserveCapacity(total)
        bytes.append(contentsOf: repeatElement(0, count: LogFormat.recordHeaderCount))
        bytes.append(contentsOf: stored)
        bytes.append(contentsOf: repeatElement(0, count: total - bytes.count))
        storedCount = stored.count
        self.plainCount = plainCount
        payloadCRC = crc32c(stored)
        self.coding = coding
        self.type = type
    }

    /// Encodes a commit, compressing where that makes it smaller and is worth it. Runs on the caller's thread, so
    /// that the log's own thread only copies and syncs.
    init(tenant: String, sections: [CommitSection], preferred: LogCoding) {
        var plain = ByteWriter(
            reserving: sections.reduce(32 + tenant.utf8.count) { $0 + $1.payload.count + 11 })
        plain.lengthPrefixed(tenant)
        plain.varint(sections.count)
        for section in sections {
            plain.u8(section.signal.rawValue)
            plain.lengthPrefixed(section.payload)
        }
        var stored = plain.bytes
        var coding = LogCoding.plain
        if plain.count > LogFormat.compressAboveCount, preferred != .plain,
            !sections.allSatisfy(\.isCompact)
        {
            let packed =
                preferred == .zstd
                ? Zstd.compress(plain.bytes, level: 1) : Snappy.compress(plain.bytes)
            if packed.count < stored.count {
                stored = packed
                coding = preferred
            }
        }
        self.init(
            stored: stored, plainCount: plain.count, coding, LogFormat.commitType)
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
        bytes.withUnsafeMutableBytes { target in
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
