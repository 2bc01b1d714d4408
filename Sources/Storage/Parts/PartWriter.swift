// SPDX-License-Identifier: Apache-2.0
// Building a part file.

import Base

/// Collects sections and makes the bytes of a part file. See `PartFormat`.
package struct PartWriter: Sendable {
    /// How a section is stored.
    package enum Coding: Sendable {
        case raw
        /// zstd at a level, unless that does not make it smaller.
        case zstd(level: Int32)
    }

    private struct Entry {
        var kind: UInt16
        var coding: UInt8
        var offset: Int
        var storedCount: Int
        var plainCount: Int
        var crc: UInt32
    }
    private var out: ByteWriter
    private var entries: [Entry] = []

    /// - Parameter byteCount: about the bytes of the part, where that is known: a large one then does
    ///   not move while it grows.
    package init(signal: Signal, reserving byteCount: Int = 1 << 16) {
        out = ByteWriter(reserving: byteCount)
        out.raw(PartFormat.magic)
        out.fixed(PartFormat.version)
        out.u8(signal.rawValue)
        out.u8(0)
        out.u32(0)
    }

    /// Bytes written so far.
    package var count: Int { out.count }

    /// Appends a section. Kinds belong to the store that writes them and are unique in a part.
    package mutating func add(kind: UInt16, _ plain: [UInt8], _ coding: Coding = .raw) {
        precondition(!entries.contains { $0.kind == kind }, "section kind written twice")
        precondition(entries.count < PartFormat.maxSections, "too many sections")
        precondition(plain.count <= PartFormat.maxPlainCount, "section too large")
        var stored = plain
        var code: UInt8 = 0
        if case .zstd(let level) = coding {
            let packed = Zstd.compress(plain, level: level)
            if packed.count < plain.count {
                stored = packed
                code = 1
            }
        }
        entries.append(
            Entry(
                kind: kind, coding: code, offset: out.count, storedCount: stored.count,
                plainCount: plain.count, crc: crc32c(stored)))
        out.raw(stored)
        while out.count % 8 != 0 { out.u8(0) }
    }

    /// The finished file.
    package consuming func finish() -> [UInt8] {
        var footer = ByteWriter()
        footer.varint(entries.count)
        for entry in entries {
            footer.fixed(entry.kind)
            footer.u8(entry.coding)
            footer.varint(entry.offset)
            footer.varint(entry.storedCount)
            footer.varint(entry.plainCount)
            footer.u32(entry.crc)
        }
        let headerCRC = out.bytes.withUnsafeBytes {
            crc32c(UnsafeRawBufferPointer(rebasing: $0[..<PartFormat.headerCount]))
        }
        let crc = crc32c(footer.bytes, headerCRC)
        out.raw(footer.bytes)
        out.u32(UInt32(footer.count))
        out.u32(crc)
        out.raw(PartFormat.endMagic)
        return out.bytes
    }
}
