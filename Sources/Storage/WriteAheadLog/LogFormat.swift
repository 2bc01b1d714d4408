// SPDX-License-Identifier: Apache-2.0
// Log segments byte by byte; the same diagram is in docs/formats/write-ahead-log.md.

import Base

/// A segment of the write-ahead log, `wal/NNNNNNNN.wal`, little-endian throughout:
///
///     +-----------------------------------------------------------------+
///     | magic "TERNWLOG" (8) | version u16 = 1 | zero u16 | zero u32     |
///     | mark u64 | number u64 | acknowledged u64                         |
///     | u32 crc32c(bytes 0..<40) | zero u32          header: 48 bytes    |
///     +-----------------------------------------------------------------+
///     | record, padded with zeros to 8 bytes; then the next ...          |
///     +-----------------------------------------------------------------+
///
///     record:
///     +-----------------------------------------------------------------+
///     | magic u32 "TREC" | u32 crc32c(the 40 bytes that follow)          |
///     | mark u64         | sequence u64        | acknowledged u64        |
///     | storedCount u32  | plainCount u32      | u32 crc32c(stored)      |
///     | type u8          | coding u8           | zero u16   (48 bytes)   |
///     +-----------------------------------------------------------------+
///     | stored bytes: the payload, plain (0), snappy (1) or zstd (2)     |
///     +-----------------------------------------------------------------+
///
///     type 2, a clean end, has no payload. Type 1, a commit:
///     +-----------------------------------------------------------------+
///     | varint n, tenant (n bytes) | varint sectionCount                 |
///     | per section: signal u8 | varint n, bytes (n)                     |
///     +-----------------------------------------------------------------+
///
/// `mark` is random per segment and in every record of it, so that neither a record left over from
/// another file nor one planted inside a log line is ever taken for real while resynchronising.
/// `acknowledged` is the highest sequence that was durable before the record was written: it
/// tells a torn tail (never acknowledged) from damage to acknowledged records. Sequences ascend
/// through the log, but not without gaps; a record that was written again after a failed sync
/// stands in two segments and counts once.
package enum LogFormat {
    package static let magic: [UInt8] = Array("TERNWLOG".utf8)
    package static let version: UInt16 = 1
    package static let headerCount = 48
    package static let recordMagic: UInt32 = 0x4345_5254
    package static let recordHeaderCount = 48
    package static let alignment = 8
    package static let commitType: UInt8 = 1
    package static let endType: UInt8 = 2
    /// Largest payload before compression, in bytes.
    package static let maxPayloadCount = 256 << 20
    /// Most sections of one commit.
    package static let maxSections = 64
    /// Payloads up to this size are stored plain: compressing them costs more than it saves.
    package static let compressAboveCount = 512

    /// File name of a segment.
    package static func name(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".wal"
    }

    /// Number of a segment, or nil when the name is not one.
    package static func number(_ name: String) -> UInt64? {
        guard name.hasSuffix(".wal") else { return nil }
        let digits = name.dropLast(4)
        guard digits.count >= 8, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(digits)
    }

    package static func segmentHeader(
        mark: UInt64, number: UInt64, acknowledged: UInt64
    ) -> [UInt8] {
        var out = ByteWriter(reserving: headerCount)
        out.raw(magic)
        out.fixed(version)
        out.fixed(UInt16(0))
        out.u32(0)
        out.u64(mark)
        out.u64(number)
        out.u64(acknowledged)
        out.u32(crc32c(out.bytes))
        out.u32(0)
        return out.bytes
    }
}

/// How the payload of a record is stored. Raw values are on disk.
package enum LogCoding: UInt8, Sendable {
    case plain = 0, snappy = 1, zstd = 2
}

/// The fixed fields in front of each record.
package struct LogRecordHeader: Sendable, Equatable {
    package var mark: UInt64
    package var sequence: UInt64
    package var acknowledged: UInt64
    package var storedCount: Int
    package var plainCount: Int
    package var payloadCRC: UInt32
    package var type: UInt8
    package var coding: UInt8

    /// Bytes of header, payload and padding together.
    package var totalCount: Int {
        LogRecord.padded(LogFormat.recordHeaderCount + storedCount)
    }

    /// The header at `offset`, or nil when there is none whose checksum holds.
    package static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> LogRecordHeader? {
        guard offset >= 0, bytes.count - offset >= LogFormat.recordHeaderCount else { return nil }
        func u32(_ at: Int) -> UInt32 {
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + at, as: UInt32.self))
        }
        func u64(_ at: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + at, as: UInt64.self))
        }
        guard u32(0) == LogFormat.recordMagic else { return nil }
        let checked = UnsafeRawBufferPointer(
            rebasing: bytes[(offset + 8)..<(offset + LogFormat.recordHeaderCount)])
        guard crc32c(checked) == u32(4) else { return nil }
        let header = LogRecordHeader(
            mark: u64(8), sequence: u64(16), acknowledged: u64(24), storedCount: Int(u32(32)),
            plainCount: Int(u32(36)), payloadCRC: u32(40), type: bytes[offset + 44],
            coding: bytes[offset + 45])
        guard header.storedCount <= LogFormat.maxPayloadCount,
            header.plainCount <= LogFormat.maxPayloadCount
        else { return nil }
        return header
    }
}
