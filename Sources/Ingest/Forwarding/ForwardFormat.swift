// SPDX-License-Identifier: Apache-2.0
// The forwarding queue byte by byte; the same diagrams are in docs/formats/forward-queue.md.

import Base

/// A segment of the queue, `forward/NNNNNNNN.queue`, little-endian throughout:
///
///     +-----------------------------------------------------------------+
///     | magic "TERNFWDQ" (8) | version u16 = 1 | zero u16 | zero u32     |
///     | number u64 | u32 crc32c(bytes 0..<24) | zero u32  header: 32 B   |
///     +-----------------------------------------------------------------+
///     | record; then the next ...                                        |
///     +-----------------------------------------------------------------+
///
///     record:
///     +-----------------------------------------------------------------+
///     | magic u32 "FREC" | u32 crc32c(the 40 bytes that follow)          |
///     | sequence u64     | taken i64, ms      | storedCount u32          |
///     | plainCount u32   | points u32         | u32 crc32c(what follows) |
///     | tenantCount u16  | coding u8 | zero u8 | zero u32     (48 bytes) |
///     +-----------------------------------------------------------------+
///     | tenant | a `MetricBatch`, plain (0) or zstd (2)                  |
///     +-----------------------------------------------------------------+
///
/// `sequence` is that of the batch in the write-ahead log.
enum ForwardFormat {
    static let magic: [UInt8] = Array("TERNFWDQ".utf8)
    static let version: UInt16 = 1
    static let headerCount = 32
    static let recordMagic: UInt32 = 0x4345_5246
    static let recordHeaderCount = 48
    /// Largest batch before compression, in bytes: the log's own bound.
    static let maxPlainCount = 256 << 20
    /// Batches up to this size are stored plain.
    static let compressAboveCount = 512

    static func name(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".queue"
    }

    static func number(_ name: String) -> UInt64? {
        guard name.hasSuffix(".queue") else { return nil }
        let digits = name.dropLast(6)
        guard digits.count >= 8, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(digits)
    }

    static func segmentHeader(_ number: UInt64) -> [UInt8] {
        var out = ByteWriter(reserving: headerCount)
        out.raw(magic)
        out.fixed(version)
        out.fixed(UInt16(0))
        out.u32(0)
        out.u64(number)
        out.u32(crc32c(out.bytes))
        out.u32(0)
        return out.bytes
    }

    static func isSegmentHeader(_ bytes: UnsafeRawBufferPointer, _ number: UInt64) -> Bool {
        bytes.count >= headerCount && bytes.prefix(headerCount).elementsEqual(segmentHeader(number))
    }
}

/// The fixed fields in front of each record of the queue.
struct ForwardRecordHeader: Sendable, Equatable {
    var sequence: UInt64
    /// When the batch was taken, wall clock.
    var millis: Int64
    var storedCount: Int
    var plainCount: Int
    /// Samples, histograms and exemplars in it.
    var points: Int
    var contentCRC: UInt32
    var tenantCount: Int
    var coding: UInt8

    var totalCount: Int { ForwardFormat.recordHeaderCount + tenantCount + storedCount }

    /// A whole record.
    static func record(
        _ payload: [UInt8], tenant: String, sequence: UInt64, millis: Int64, points: Int
    ) -> [UInt8] {
        var stored = payload
        var coding: UInt8 = 0
        if payload.count > ForwardFormat.compressAboveCount {
            let packed = Zstd.compress(payload)
            if packed.count < payload.count { (stored, coding) = (packed, 2) }
        }
        let tenant = Array(tenant.utf8.prefix(Int(UInt16.max)))
        let content = tenant + stored
        var rest = ByteWriter(reserving: 40)
        rest.u64(sequence)
        rest.i64(millis)
        rest.u32(UInt32(truncatingIfNeeded: stored.count))
        rest.u32(UInt32(truncatingIfNeeded: payload.count))
        rest.u32(UInt32(clamping: points))
        rest.u32(crc32c(content))
        rest.fixed(UInt16(truncatingIfNeeded: tenant.count))
        rest.u8(coding)
        rest.u8(0)
        rest.u32(0)
        var out = ByteWriter(reserving: ForwardFormat.recordHeaderCount + content.count)
        out.u32(ForwardFormat.recordMagic)
        out.u32(crc32c(rest.bytes))
        out.raw(rest.bytes)
        out.raw(content)
        return out.bytes
    }

    /// The header at `offset`, or nil when there is none whose checksum holds.
    static func parse(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> ForwardRecordHeader? {
        let size = ForwardFormat.recordHeaderCount
        guard offset >= 0, bytes.count - offset >= size else { return nil }
        let header = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + size)])
        func u32(_ at: Int) -> UInt32 {
            UInt32(littleEndian: header.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        }
        func u64(_ at: Int) -> UInt64 {
            UInt64(littleEndian: header.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        }
        guard u32(0) == ForwardFormat.recordMagic,
            crc32c(UnsafeRawBufferPointer(rebasing: header[8...])) == u32(4)
        else { return nil }
        let result = ForwardRecordHeader(
            sequence: u64(8), millis: Int64(bitPattern: u64(16)), storedCount: Int(u32(24)),
            plainCount: Int(u32(28)), points: Int(u32(32)), contentCRC: u32(36),
            tenantCount: Int(
                UInt16(littleEndian: header.loadUnaligned(fromByteOffset: 40, as: UInt16.self))),
            coding: header[42])
        guard result.storedCount <= ForwardFormat.maxPlainCount,
            result.plainCount <= ForwardFormat.maxPlainCount
        else { return nil }
        return result
    }

    /// The record that this header begins; nil when its content is damaged.
    func content(_ bytes: UnsafeRawBufferPointer) -> ForwardRecord? {
        guard bytes.count >= tenantCount + storedCount else { return nil }
        let content = UnsafeRawBufferPointer(rebasing: bytes[..<(tenantCount + storedCount)])
        guard crc32c(content) == contentCRC else { return nil }
        let stored = UnsafeRawBufferPointer(rebasing: content[tenantCount...])
        let plain: [UInt8]
        switch coding {
        case 0: plain = Array(stored)
        case 2:
            do throws(CompressionError) {
                plain = try Zstd.decompress(stored, limit: plainCount)
            } catch { return nil }
        default: return nil
        }
        guard plain.count == plainCount else { return nil }
        return ForwardRecord(
            tenant: String(decoding: content[..<tenantCount], as: UTF8.self), millis: millis,
            points: points, payload: plain)
    }
}

/// A batch as it comes out of the queue.
struct ForwardRecord: Sendable, Equatable {
    var tenant: String
    var millis: Int64
    var points: Int
    var payload: [UInt8]
}

/// A place between two records.
package struct ForwardPosition: Sendable, Hashable, Comparable {
    package var segment: UInt64
    /// Bytes from the segment's beginning.
    package var offset: Int

    package static func < (a: ForwardPosition, b: ForwardPosition) -> Bool {
        (a.segment, a.offset) < (b.segment, b.offset)
    }
}

/// How far a destination is, `forward/HHHHHHHHHHHHHHHH.cursor`, named by the hash of the
/// destination's name: two slots that are written in turn, the valid one with the higher count wins.
///
///     slot at 0 and at 64, little-endian:
///     +-----------------------------------------------------------------+
///     | count u64 | segment u64 | offset u64 | points u64                |
///     | windowSegment u64 | windowOffset u64 | shards u32                |
///     | u32 crc32c(the 52 bytes before)                       (56 bytes) |
///     +-----------------------------------------------------------------+
///
/// `points` are those of the segment that lie before the place. What is being sent, and may have
/// arrived, ends at the window; it is sent again in the same pieces after a crash. Shards 0: none.
struct ForwardCursor: Sendable, Equatable {
    var count: UInt64 = 0
    var place: ForwardPosition
    var points = 0
    var window: Window?

    struct Window: Sendable, Equatable {
        var end: ForwardPosition
        var shards: Int
    }

    static let slotCount = 64
    private static let usedCount = 56

    var slotOffset: Int { Int(count & 1) * ForwardCursor.slotCount }

    var bytes: [UInt8] {
        var out = ByteWriter(reserving: ForwardCursor.usedCount)
        out.u64(count)
        out.u64(place.segment)
        out.u64(UInt64(place.offset))
        out.u64(UInt64(points))
        out.u64(window?.end.segment ?? 0)
        out.u64(UInt64(window?.end.offset ?? 0))
        out.u32(UInt32(window?.shards ?? 0))
        out.u32(crc32c(out.bytes))
        return out.bytes
    }

    /// The newest of both slots, or nil.
    static func read(_ bytes: [UInt8]) -> ForwardCursor? {
        let slots = [0, slotCount].compactMap { slot(bytes.dropFirst($0)) }
        return slots.max { $0.count < $1.count }
    }

    private static func slot(_ bytes: ArraySlice<UInt8>) -> ForwardCursor? {
        guard bytes.count >= usedCount else { return nil }
        let used = Array(bytes.prefix(usedCount))
        return used.withUnsafeBytes { raw -> ForwardCursor? in
            func u64(_ at: Int) -> UInt64 {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            }
            func u32(_ at: Int) -> UInt32 {
                UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt32.self))
            }
            guard crc32c(UnsafeRawBufferPointer(rebasing: raw[..<52])) == u32(52),
                let offset = Int(exactly: u64(16)), let points = Int(exactly: u64(24)),
                let end = Int(exactly: u64(40))
            else { return nil }
            let shards = Int(u32(48))
            return ForwardCursor(
                count: u64(0), place: ForwardPosition(segment: u64(8), offset: offset),
                points: points,
                window: shards == 0
                    ? nil
                    : Window(
                        end: ForwardPosition(segment: u64(32), offset: end), shards: shards))
        }
    }
}

/// What the queue holds for certain, `forward/state`, replaced as a whole:
///
///     magic "TERNFWDS" (8) | boundary u64 | segment u64 | offset u64 | u32 crc32c | zero u32
///
/// All records of the log below `boundary` are before that place, or were dropped.
struct ForwardMark: Sendable, Equatable {
    var boundary: UInt64
    var place: ForwardPosition

    private static let magic = Array("TERNFWDS".utf8)

    var bytes: [UInt8] {
        var out = ByteWriter(reserving: 40)
        out.raw(ForwardMark.magic)
        out.u64(boundary)
        out.u64(place.segment)
        out.u64(UInt64(place.offset))
        out.u32(crc32c(out.bytes))
        out.u32(0)
        return out.bytes
    }

    static func read(_ bytes: [UInt8]) -> ForwardMark? {
        guard bytes.count == 40, bytes.starts(with: magic) else { return nil }
        return bytes.withUnsafeBytes { raw -> ForwardMark? in
            func u64(_ at: Int) -> UInt64 {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            }
            let sum = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 32, as: UInt32.self))
            guard crc32c(UnsafeRawBufferPointer(rebasing: raw[..<32])) == sum,
                let offset = Int(exactly: u64(24))
            else { return nil }
            return ForwardMark(
                boundary: u64(8), place: ForwardPosition(segment: u64(16), offset: offset))
        }
    }
}
