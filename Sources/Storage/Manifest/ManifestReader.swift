// SPDX-License-Identifier: Apache-2.0
// Reading a manifest file, damaged or not.

import Base

/// What a manifest file says, and what is wrong with it.
struct ManifestReader {
    private(set) var set = PartSet()
    private(set) var nextPartID: UInt64 = 1
    /// True when a checkpoint was found: without one the file means nothing.
    private(set) var isUsable = false
    private(set) var faults: [StorageFault] = []
    /// Damage was followed by whole records: edits in the middle are lost.
    private(set) var isDamagedInside = false
    /// A version that this program does not read.
    private(set) var foreignVersion: UInt16?
    /// End of the last whole record.
    private(set) var end = 0
    private(set) var checkpointCount = 0

    init(_ bytes: [UInt8], file: String) {
        bytes.withUnsafeBytes { read($0, file) }
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer, _ file: String) {
        func fault(_ offset: Int, _ problem: String) {
            faults.append(StorageFault(file: file, offset: offset, problem: problem))
        }
        guard bytes.count >= ManifestFormat.headerCount,
            bytes.prefix(8).elementsEqual(ManifestFormat.magic)
        else { return fault(0, "no manifest header") }
        let version = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        guard ManifestFormat.readableVersions.contains(version) else {
            foreignVersion = version
            return fault(
                8, "version \(version), this program reads up to \(ManifestFormat.version)")
        }
        end = ManifestFormat.headerCount
        var offset = end
        var damaged = false
        while offset < bytes.count {
            if let (record, count) = ManifestReader.record(bytes, at: offset, version) {
                if damaged { isDamagedInside = true }
                apply(record, count)
                offset += count
                end = offset
                continue
            }
            fault(offset, "no whole record begins here")
            damaged = true
            // Bodies have no alignment; look at every byte. Manifests are small.
            repeat {
                offset += 1
            } while offset < bytes.count
                && ManifestReader.record(bytes, at: offset, version) == nil
        }
    }

    private static func record(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, _ version: UInt16
    ) -> (ManifestRecord, Int)? {
        let first = offset + ManifestFormat.recordHeaderCount
        guard first <= bytes.count else { return nil }
        let count = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        let crc = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self))
        guard count > 0, count <= ManifestFormat.maxBodyCount, count <= bytes.count - first else {
            return nil
        }
        let body = UnsafeRawBufferPointer(rebasing: bytes[first..<(first + count)])
        guard crc32c(body) == crc else { return nil }
        var reader = ByteReader(body)
        do throws(MalformedBytes) {
            let record = try ManifestRecord(&reader, version: version)
            return reader.isAtEnd ? (record, ManifestFormat.recordHeaderCount + count) : nil
        } catch { return nil }
    }

    private mutating func apply(_ record: ManifestRecord, _ count: Int) {
        if record.isCheckpoint {
            set.parts = [:]
            isUsable = true
            checkpointCount = count
        }
        for id in record.removed { set.parts[id] = nil }
        for part in record.added { set.parts[part.id] = part }
        set.epoch = record.epoch
        set.covered = max(record.covered, 1)
        nextPartID = max(nextPartID, record.nextPartID)
    }
}
