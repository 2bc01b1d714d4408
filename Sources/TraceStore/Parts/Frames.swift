// SPDX-License-Identifier: Apache-2.0
// Compressed, checksummed pieces of a part's raw sections.

import Base
import Storage
import Synchronization

/// Where a frame lies and how to check it.
struct FrameRef: Sendable, Hashable {
    /// Which of the sections of its family.
    var section: UInt16 = 0
    /// Byte offset in the section.
    var offset = 0
    var storedCount = 0
    var plainCount = 0
    /// 0 raw, 1 zstd.
    var coding: UInt8 = 0
    /// CRC32C of the stored bytes.
    var crc: UInt32 = 0

    func encode(into writer: inout ByteWriter) {
        writer.varint(UInt64(section))
        writer.varint(offset)
        writer.varint(storedCount)
        writer.varint(plainCount)
        writer.u8(coding)
        writer.u32(crc)
    }

    /// Without the place, which follows from the frame before.
    func encodeSize(into writer: inout ByteWriter) {
        writer.varint(plainCount)
        guard plainCount > 0 else { return }
        writer.varint(storedCount << 1 | Int(coding))
        writer.u32(crc)
    }

    init() {}

    /// Reads what `encodeSize` wrote. `offset` is where the frame lies and moves behind it.
    init(
        decodingSize reader: inout ByteReader, section: UInt16, offset: inout Int
    ) throws(MalformedBytes) {
        plainCount = try reader.length(limit: PartFormat.maxPlainCount, "frame plain size")
        guard plainCount > 0 else { return }
        let stored = try reader.length(limit: PartFormat.maxPlainCount * 2 + 1, "frame size")
        coding = UInt8(stored & 1)
        storedCount = stored >> 1
        crc = try reader.u32()
        self.section = section
        self.offset = offset
        // Both are below 2^32.
        offset += storedCount
    }

    init(decoding reader: inout ByteReader) throws(MalformedBytes) {
        section = UInt16(truncatingIfNeeded: try reader.length(limit: 0xff, "section number"))
        offset = try reader.length(limit: PartFormat.maxPlainCount, "frame offset")
        storedCount = try reader.length(limit: PartFormat.maxPlainCount, "frame size")
        plainCount = try reader.length(limit: PartFormat.maxPlainCount, "frame plain size")
        coding = try reader.u8()
        guard coding <= 1 else { throw reader.malformed("frame coding 0 or 1") }
        crc = try reader.u32()
    }
}

/// Collects frames into sections of bounded size.
struct FrameSink {
    private var sections: [[UInt8]] = [[]]
    private(set) var byteCount = 0

    /// Makes sure that frames of so many plain bytes together come to lie in one section.
    mutating func beginGroup(_ plainCount: Int) {
        if let last = sections.last, !last.isEmpty, last.count + plainCount > Limits.sectionBytes {
            sections.append([])
        }
    }

    /// Where the next frame will lie.
    var place: (section: UInt16, offset: Int) {
        (UInt16(sections.count - 1), sections[sections.count - 1].count)
    }

    mutating func append(_ plain: [UInt8], compressed: Bool, level: Int32) -> FrameRef {
        if plain.isEmpty { return FrameRef() }
        var stored = plain
        var ref = FrameRef()
        if compressed, plain.count > 64 {
            let packed = Zstd.compress(plain, level: level)
            if packed.count < plain.count {
                stored = packed
                ref.coding = 1
            }
        }
        ref.plainCount = plain.count
        ref.crc = crc32c(stored)
        return place(stored, ref)
    }

    /// Takes over a frame of another part as it is stored there.
    mutating func append(stored: [UInt8], like other: FrameRef) -> FrameRef {
        if other.plainCount == 0 { return FrameRef() }
        return place(stored, other)
    }

    private mutating func place(_ stored: [UInt8], _ like: FrameRef) -> FrameRef {
        if let last = sections.last, !last.isEmpty,
            last.count + stored.count > Limits.sectionBytes
        {
            sections.append([])
        }
        var ref = like
        ref.section = UInt16(sections.count - 1)
        ref.offset = sections[sections.count - 1].count
        ref.storedCount = stored.count
        sections[sections.count - 1].append(contentsOf: stored)
        byteCount += stored.count
        return ref
    }

    /// Whether another frame of the given size can still be addressed.
    func hasRoom(for count: Int) -> Bool {
        sections.count < 0xff && count < PartFormat.maxPlainCount / 2
    }

    /// Writes the sections as kinds `family`, `family` + 1, ….
    func write(into writer: inout PartWriter, family: UInt16) {
        for (index, bytes) in sections.enumerated() {
            writer.add(kind: family + UInt16(index), bytes)
        }
    }
}

/// Which raw frames have been checked, so that reading a few bytes of one does not cost its
/// checksum every time.
final class CheckedFrames: Sendable {
    private let bits: Mutex<[UInt64]>

    init(count: Int) { bits = Mutex([UInt64](repeating: 0, count: (count + 63) / 64)) }

    func contains(_ index: Int) -> Bool {
        bits.withLock { $0[index / 64] & 1 << UInt64(index % 64) != 0 }
    }

    func insert(_ index: Int) { bits.withLock { $0[index / 64] |= 1 << UInt64(index % 64) } }
}

extension PartReader {
    /// Checks a raw frame once and says where in the file it lies.
    ///
    /// - Throws: `PartCorruption`.
    func checkedRaw(
        _ ref: FrameRef, family: UInt16, count: Int, _ checked: CheckedFrames, _ index: Int
    ) throws(PartCorruption) -> Int {
        let start = fileOffset(of: ref, family: family)
        if checked.contains(index) { return start }
        guard ref.coding == 0, ref.storedCount == count else {
            throw PartCorruption(name: name, offset: start, problem: "frame of \(count) raw bytes")
        }
        guard try frame(ref, family: family).count == count else {
            throw PartCorruption(name: name, offset: start, problem: "frame of \(count) bytes")
        }
        checked.insert(index)
        return start
    }

    /// Where a frame of the section family begins in the file, for messages.
    func fileOffset(of ref: FrameRef, family: UInt16) -> Int {
        (section(family + ref.section)?.offset ?? 0) &+ ref.offset
    }

    /// Reads, checks and unpacks a frame of the section family.
    ///
    /// - Throws: `PartCorruption` naming the offset in the file.
    func frame(_ ref: FrameRef, family: UInt16) throws(PartCorruption) -> [UInt8] {
        try withStored(ref, family: family) { stored, fault in
            if ref.coding == 0 { return .success([UInt8](stored)) }
            do throws(CompressionError) {
                let plain = try Zstd.decompress(stored, limit: ref.plainCount)
                guard plain.count == ref.plainCount else {
                    return .failure(fault("a frame unpacks to the wrong size"))
                }
                return .success(plain)
            } catch {
                return .failure(fault("a frame does not decompress: \(error)"))
            }
        }
    }

    /// Reads and checks a frame of the section family as it is stored.
    ///
    /// - Throws: `PartCorruption` naming the offset in the file.
    func storedFrame(_ ref: FrameRef, family: UInt16) throws(PartCorruption) -> [UInt8] {
        try withStored(ref, family: family) { stored, _ in .success([UInt8](stored)) }
    }

    /// Checks a frame and hands out its stored bytes, and what makes an error of a problem with them.
    private func withStored(
        _ ref: FrameRef, family: UInt16,
        _ body: (
            _ stored: UnsafeRawBufferPointer, _ fault: (String) -> PartCorruption
        ) -> Result<[UInt8], PartCorruption>
    ) throws(PartCorruption) -> [UInt8] {
        guard let section = section(family + ref.section) else {
            throw PartCorruption(
                name: name, offset: 0, problem: "section \(family + ref.section) is missing")
        }
        let (end, overflow) = ref.offset.addingReportingOverflow(ref.storedCount)
        guard !overflow, end <= section.storedCount, section.coding == 0 else {
            throw PartCorruption(
                name: name, offset: section.offset, problem: "frame lies outside its section")
        }
        let fault = { (problem: String) in
            PartCorruption(name: self.name, offset: section.offset + ref.offset, problem: problem)
        }
        let result = withStored(section) { all -> Result<[UInt8], PartCorruption> in
            let stored = UnsafeRawBufferPointer(rebasing: all[ref.offset..<end])
            guard crc32c(stored) == ref.crc else {
                return .failure(fault("checksum of a frame differs"))
            }
            return body(stored, fault)
        }
        return try result.get()
    }
}
