// SPDX-License-Identifier: Apache-2.0
// Small files of the server's own.

import Base

/// The frame of a file that is written and read as a whole:
///
///     magic (8) | version u16 | zero u16 | u32 crc32c(body) | body
struct ChecksummedFile: Sendable {
    let magic: [UInt8]
    let version: UInt16
    /// What the file is, for errors.
    let title: String

    /// - Parameter magic: eight letters.
    init(_ magic: String, version: UInt16, _ title: String) {
        self.magic = Array(magic.utf8)
        self.version = version
        self.title = title
    }

    func framed(_ body: [UInt8]) -> [UInt8] {
        var out = ByteWriter()
        out.raw(magic)
        out.fixed(version)
        out.fixed(UInt16(0))
        out.u32(crc32c(body))
        out.raw(body)
        return out.bytes
    }

    /// A reader at the beginning of the body, whose checksum was compared.
    ///
    /// - Throws: `MalformedBytes` for another file, another version, or a damaged body.
    func body(of bytes: UnsafeRawBufferPointer) throws(MalformedBytes) -> ByteReader {
        var reader = ByteReader(bytes)
        for byte in magic where try reader.u8() != byte {
            throw MalformedBytes(offset: 0, expected: "the magic of \(title)")
        }
        let found = UInt16(try reader.u8()) | UInt16(try reader.u8()) << 8
        guard found == version else { throw reader.malformed("version \(version), not \(found)") }
        _ = (try reader.u8(), try reader.u8())
        let crc = try reader.u32()
        guard crc32c(UnsafeRawBufferPointer(rebasing: bytes[reader.offset...])) == crc else {
            throw reader.malformed("bytes of the checksum in the header")
        }
        return reader
    }
}
