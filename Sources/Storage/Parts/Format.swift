// SPDX-License-Identifier: Apache-2.0
// Part files byte by byte; the same diagram is in docs/formats/part.md.

/// A part file, little-endian throughout:
///
///     +-----------------------------------------------------------------+
///     | magic "TERNPART" (8) | version u16 = 1 | signal u8 | zero u8 |   |
///     | zero u32                                       header: 16 bytes  |
///     +-----------------------------------------------------------------+
///     | section bytes, each section padded to 8 bytes                    |
///     +-----------------------------------------------------------------+
///     | footer: varint sectionCount, then per section                    |
///     |   u16 kind | u8 coding (0 raw, 1 zstd) | varint offset           |
///     |   varint storedCount | varint plainCount | u32 crc32c(stored)    |
///     +-----------------------------------------------------------------+
///     | trailer: u32 footerCount | u32 crc32c(header + footer)           |
///     |          magic "TERNPEND" (8)                      16 bytes      |
///     +-----------------------------------------------------------------+
///
/// A reader starts at the trailer, so a file cut short never opens.
package enum PartFormat {
    package static let magic: [UInt8] = Array("TERNPART".utf8)
    package static let endMagic: [UInt8] = Array("TERNPEND".utf8)
    package static let version: UInt16 = 1
    package static let headerCount = 16
    package static let trailerCount = 16
    /// Most sections in one part.
    package static let maxSections = 4096
    /// Largest section after decompression, in bytes.
    package static let maxPlainCount = 1 << 30
}
