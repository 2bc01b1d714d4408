// SPDX-License-Identifier: Apache-2.0
// Reading a part file.

import Base

/// A part file that is not what it should be.
package struct PartCorruption: Error, Sendable, Equatable, CustomStringConvertible {
    /// Name of the blob, filled in by whoever knows it.
    package var name: String
    /// Byte offset in the file.
    package var offset: Int
    package var problem: String

    package init(name: String = "", offset: Int, problem: String) {
        self.name = name
        self.offset = offset
        self.problem = problem
    }

    package var description: String {
        "part \(name.isEmpty ? "" : name + " ")damaged at offset \(offset): \(problem)"
    }
}

/// An opened part: the directory is parsed and checked, sections are read on demand.
package final class PartReader: Sendable {
    package struct Section: Sendable, Hashable {
        package var kind: UInt16
        package var coding: UInt8
        package var offset: Int
        package var storedCount: Int
        package var plainCount: Int
        package var crc: UInt32
    }

    package let name: String
    package let signal: Signal
    package let sections: [Section]
    package let bytes: SharedBytes

    /// Checks magic, version, trailer and directory; sections are checked when first read.
    ///
    /// - Throws: `PartCorruption`.
    package init(_ bytes: SharedBytes, name: String) throws(PartCorruption) {
        self.name = name
        self.bytes = bytes
        let parsed = bytes.withBytes { PartReader.parse($0, name: name) }
        let (signal, sections) = try parsed.get()
        self.signal = signal
        self.sections = sections
    }

    private static func parse(
        _ all: UnsafeRawBufferPointer, name: String
    ) -> Result<(Signal, [Section]), PartCorruption> {
        func fault(_ offset: Int, _ problem: String) -> Result<(Signal, [Section]), PartCorruption>
        {
            .failure(PartCorruption(name: name, offset: offset, problem: problem))
        }
        let least = PartFormat.headerCount + PartFormat.trailerCount
        guard all.count >= least else { return fault(0, "\(all.count) bytes are no part") }
        guard all.prefix(8).elementsEqual(PartFormat.magic) else { return fault(0, "wrong magic") }
        let version = UInt16(littleEndian: all.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
        guard version == PartFormat.version else {
            return fault(8, "version \(version), this program reads \(PartFormat.version)")
        }
        guard let signal = Signal(rawValue: all[10]) else {
            return fault(10, "unknown signal \(all[10])")
        }
        let trailer = all.count - PartFormat.trailerCount
        guard all[(trailer + 8)...].elementsEqual(PartFormat.endMagic) else {
            return fault(trailer + 8, "no end mark: the file is cut short")
        }
        let footerCount = Int(
            UInt32(littleEndian: all.loadUnaligned(fromByteOffset: trailer, as: UInt32.self)))
        let crc = UInt32(
            littleEndian: all.loadUnaligned(fromByteOffset: trailer + 4, as: UInt32.self))
        guard footerCount <= trailer - PartFormat.headerCount else {
            return fault(trailer, "directory of \(footerCount) bytes does not fit")
        }
        let footerStart = trailer - footerCount
        let footer = UnsafeRawBufferPointer(rebasing: all[footerStart..<trailer])
        let header = UnsafeRawBufferPointer(rebasing: all[..<PartFormat.headerCount])
        guard crc32c(footer, crc32c(header)) == crc else {
            return fault(footerStart, "directory checksum differs")
        }
        var reader = ByteReader(footer)
        do {
            let n = try reader.length(limit: PartFormat.maxSections, "number of sections")
            var sections: [Section] = []
            for _ in 0..<n {
                let section = Section(
                    kind: try reader.fixed(UInt16.self), coding: try reader.u8(),
                    offset: try reader.length(limit: footerStart, "section offset"),
                    storedCount: try reader.length(limit: footerStart, "section size"),
                    plainCount: try reader.length(
                        limit: PartFormat.maxPlainCount, "section plain size"),
                    crc: try reader.u32())
                guard section.offset + section.storedCount <= footerStart,
                    section.coding == 1
                        || (section.coding == 0 && section.storedCount == section.plainCount)
                else { return fault(footerStart + reader.offset, "section outside the file") }
                sections.append(section)
            }
            return .success((signal, sections))
        } catch {
            return fault(footerStart + reader.offset, "directory: \(error)")
        }
    }

    package func section(_ kind: UInt16) -> Section? { sections.first { $0.kind == kind } }

    /// The stored bytes of a section, unchecked: for raw sections made of blocks that carry
    /// checksums of their own and are read one at a time. Valid while the reader lives.
    package func withStored<R>(
        _ section: Section, _ body: (UnsafeRawBufferPointer) throws -> R
    ) rethrows -> R {
        try bytes.withBytes {
            try body(
                UnsafeRawBufferPointer(
                    rebasing: $0[section.offset..<(section.offset + section.storedCount)]))
        }
    }

    /// A whole section, checked and decompressed. Reads and copies it all: keep the result.
    ///
    /// - Throws: `PartCorruption` when it is absent, its checksum differs or zstd refuses it.
    package func read(_ kind: UInt16) throws(PartCorruption) -> [UInt8] {
        guard let section = section(kind) else {
            throw PartCorruption(name: name, offset: 0, problem: "section \(kind) is missing")
        }
        let result = withStored(section) { stored -> Result<[UInt8], PartCorruption> in
            guard crc32c(stored) == section.crc else {
                return .failure(
                    PartCorruption(
                        name: name, offset: section.offset,
                        problem: "checksum of section \(kind) differs"))
            }
            guard section.coding == 1 else { return .success([UInt8](stored)) }
            let reason: String
            do throws(CompressionError) {
                let plain = try Zstd.decompress(stored, limit: section.plainCount)
                if plain.count == section.plainCount { return .success(plain) }
                reason = "\(plain.count) bytes instead of \(section.plainCount)"
            } catch { reason = error.description }
            return .failure(
                PartCorruption(
                    name: name, offset: section.offset,
                    problem: "section \(kind) does not decompress: \(reason)"))
        }
        return try result.get()
    }

    /// Checks every section's checksum. Reads the whole file.
    package func verify() -> [PartCorruption] {
        var faults: [PartCorruption] = []
        for section in sections {
            do throws(PartCorruption) {
                _ = try read(section.kind)
            } catch { faults.append(error) }
        }
        return faults
    }
}
