// SPDX-License-Identifier: Apache-2.0
// Manifest files byte by byte; the same diagram is in docs/formats/manifest.md.

import Base

/// A manifest file, `manifest/NNNNNNNN.manifest`, little-endian throughout. The one with the
/// highest number counts.
///
///     +-----------------------------------------------------------------+
///     | magic "TERNMANI" (8) | version u16 = 2 | zero u16 | zero u32     |
///     |                                              header: 16 bytes    |
///     +-----------------------------------------------------------------+
///     | record: a checkpoint, then edits ...                             |
///     +-----------------------------------------------------------------+
///
///     record:
///     +-----------------------------------------------------------------+
///     | bodyCount u32 | u32 crc32c(body) | body                          |
///     +-----------------------------------------------------------------+
///
///     body:
///     +-----------------------------------------------------------------+
///     | type u8 (1 checkpoint, 2 edit) | varint epoch | varint covered   |
///     | varint nextPartID | varint removedCount, per part: varint id     |
///     | varint addedCount, per part:                                     |
///     |   varint id | signal u8 | varint n, tenant (n bytes)             |
///     |   zigzag day | level u8 | retentionClass u8                      |
///     |   zigzag minNanos | zigzag maxNanos                              |
///     |   varint rowCount | varint byteCount | varint lastSequence       |
///     |   varint n, deletions (n bytes); not in version 1                |
///     +-----------------------------------------------------------------+
///
/// A part that is in the set already and is added again takes the place of what was known of it: that
/// is how a deletion is recorded. What the bytes of `deletions` mean is the store's business.
/// A checkpoint holds the whole set as `added`. `covered` is the first log sequence whose data is
/// not in parts; `nextPartID` the first id never given.
package enum ManifestFormat {
    package static let magic: [UInt8] = Array("TERNMANI".utf8)
    package static let version: UInt16 = 2
    /// Versions that are read: 1 knows no deletions.
    package static let readableVersions: ClosedRange<UInt16> = 1...2
    package static let headerCount = 16
    package static let recordHeaderCount = 8
    package static let checkpointType: UInt8 = 1
    package static let editType: UInt8 = 2
    /// Largest record body, in bytes: some ten million parts.
    package static let maxBodyCount = 1 << 30
    /// A file grows to this size before a new one is begun, unless its checkpoint alone is larger
    /// than a quarter of it.
    package static let rewriteAboveCount = 1 << 20

    package static func name(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".manifest"
    }

    package static func number(_ name: String) -> UInt64? {
        guard name.hasSuffix(".manifest") else { return nil }
        let digits = name.dropLast(9)
        guard digits.count >= 8, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt64(digits)
    }

    static var header: [UInt8] {
        var out = ByteWriter()
        out.raw(magic)
        out.fixed(version)
        out.fixed(UInt16(0))
        out.u32(0)
        return out.bytes
    }
}

/// One record: what changed, or everything.
struct ManifestRecord: Sendable, Equatable {
    var isCheckpoint: Bool
    var epoch: UInt64
    var covered: UInt64
    var nextPartID: UInt64
    var removed: [UInt64]
    var added: [PartDescriptor]

    func encoded() -> [UInt8] {
        var body = ByteWriter(reserving: 64 + added.count * 64)
        body.u8(isCheckpoint ? ManifestFormat.checkpointType : ManifestFormat.editType)
        body.varint(epoch)
        body.varint(covered)
        body.varint(nextPartID)
        body.varint(removed.count)
        for id in removed { body.varint(id) }
        body.varint(added.count)
        for part in added {
            body.varint(part.id)
            body.u8(part.signal.rawValue)
            body.lengthPrefixed(part.tenant)
            body.zigzag(Int64(part.day))
            body.u8(part.level)
            body.u8(part.retentionClass)
            body.zigzag(part.minNanos)
            body.zigzag(part.maxNanos)
            body.varint(part.rowCount)
            body.varint(part.byteCount)
            body.varint(part.lastSequence)
            body.lengthPrefixed(part.deletions)
        }
        var out = ByteWriter(reserving: body.count + ManifestFormat.recordHeaderCount)
        out.u32(UInt32(body.count))
        out.u32(crc32c(body.bytes))
        out.raw(body.bytes)
        return out.bytes
    }

    /// - Parameter reader: stands at the body, and ends with it.
    init(_ reader: inout ByteReader, version: UInt16) throws(MalformedBytes) {
        let type = try reader.u8()
        guard type == ManifestFormat.checkpointType || type == ManifestFormat.editType else {
            throw reader.malformed("a record type, not \(type)")
        }
        isCheckpoint = type == ManifestFormat.checkpointType
        epoch = try reader.varint()
        covered = try reader.varint()
        nextPartID = try reader.varint()
        removed = []
        for _ in 0..<(try reader.length(limit: reader.remaining, "number of removed parts")) {
            removed.append(try reader.varint())
        }
        added = []
        for _ in 0..<(try reader.length(limit: reader.remaining, "number of added parts")) {
            added.append(try ManifestRecord.part(&reader, version))
        }
    }

    init(
        isCheckpoint: Bool, epoch: UInt64, covered: UInt64, nextPartID: UInt64, removed: [UInt64],
        added: [PartDescriptor]
    ) {
        self.isCheckpoint = isCheckpoint
        self.epoch = epoch
        self.covered = covered
        self.nextPartID = nextPartID
        self.removed = removed
        self.added = added
    }

    private static func part(
        _ reader: inout ByteReader, _ version: UInt16
    ) throws(MalformedBytes) -> PartDescriptor {
        let id = try reader.varint()
        let raw = try reader.u8()
        guard let signal = Signal(rawValue: raw) else {
            throw reader.malformed("a signal, not \(raw)")
        }
        let tenant = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
        let day = try reader.zigzag()
        guard let day = Int32(exactly: day) else { throw reader.malformed("a day") }
        let level = try reader.u8()
        let retentionClass = try reader.u8()
        return PartDescriptor(
            id: id, signal: signal, tenant: tenant, day: day, level: level,
            minNanos: try reader.zigzag(), maxNanos: try reader.zigzag(),
            rowCount: try reader.varint(), byteCount: try reader.varint(),
            retentionClass: retentionClass, lastSequence: try reader.varint(),
            deletions: version == 1 ? [] : [UInt8](try reader.lengthPrefixed()))
    }
}
