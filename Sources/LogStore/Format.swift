// SPDX-License-Identifier: Apache-2.0
// Log parts byte by byte; the same diagram is in docs/formats/log-part.md.

/// Sections of a log part (the file around them: `PartFormat`), little-endian:
///
///     info     (1)  u8 version = 3 | varint streams | varint blocks | varint frames | varint rows
///     symbols  (2)  varint count | count × (varint length, bytes)     distinct, ascending bytewise
///     streams  (3)  varint count | per stream, ascending by labels:
///                     varint pairs | pairs × (varint name symbol, varint value symbol)
///     postings (4)  varint count | per label pair, ascending by (name, value):
///                     varint name symbol | varint value symbol | varint streams |
///                     first stream, then distance − 1 to the one before, as varints
///     frames   (5)  per frame: u8 coding (0 raw, 1 zstd) | varint data section | varint offset |
///                     varint storedCount | varint plainCount | u32 crc32c(stored)
///     blocks   (6)  per block, ascending by (stream, time):
///                     varint stream | varint rows | i64 min nanos | varint max − min |
///                     varint (bytes of lines × 2 + 1 where lines are templates and values) |
///                     4 columns × (varint frame, varint offset, varint count)
///     words    (7)  varint frames of lines | per frame, ascending:
///                     varint distance − 1 to the one before, the first its number |
///                     varint (longest run of letters in values × 2 + 1 where words are listed) |
///                     varint letters in values: bits 0–25 A–Z, 26–51 a–z |
///                   varint words | 0 words: nothing, else frame, offset, count as varints
///     traces   (8)  varint trace ids, 0 = blocks keep their own | per chunk: varint frame
///     ids      (9)  varint frames of lines | per frame, as in words:
///                     varint digits of the longest id | varint ids | [frame, offset, count] |
///                   varint ids of all frames, 0 = no filter | [frame, offset, count]
///     ranges  (10)  from version 3 on, and only where there is one:
///                     varint names | names × (varint length, bytes), ascending bytewise |
///                   per range, ascending by (block, name):
///                     varint distance of its block to the one before, from 0 | varint name |
///                     zigzag least | varint greatest − least
///     data (256 …)  frames, back to back, read one at a time
///
/// A *block* is one stream over one stretch of time, at most about 1 MiB of lines. Its columns lie
/// in *frames*, the unit of compression: a frame holds the same column of neighbouring blocks, so
/// that thousands of small streams compress like one large one while each block stays addressable.
///
///     numbers   time column, then line lengths
///     lines     the lines back to back
///     metadata  structured metadata, one column per key; count 0 = no row has any
///     ids       trace ids, then span ids; count 0 = no row has one
///
///     time      u8 kind | zigzag first nanos |
///                 0: varint step
///                 1: varint unit | (rows − 1) × varint delta / unit
///                 2: varint unit | varint first delta / unit | (rows − 2) × zigzag change of delta |
///                 3: varint unit | u8 width | width × (rows − 1) bytes of delta / unit, lowest first
///     lengths   u8 kind | 0: varint length of all | 1: rows × varint |
///                 2: varint bytes of all lines, which are templates and values
///     templated lines
///               varint templates | per template: varint places | (places + 1) × (varint, bytes) |
///               u8 width of a number: 0 all rows have the one template, 1, 2 |
///               rows × template number |
///               per template, per place: values of its rows
///     values    u8 kind |
///                 0 constant:   varint + value
///                 1 dictionary: varint values | values × (varint + bytes) | n × u8
///                 2 strings:    n × varint length | bytes
///                 3 numbers:    u8 digits, 0 = no leading zeros | n × varint
///                 4 deltas:     u8 digits | n × zigzag, from 0
///                 5 hex:        varint bytes | n × bytes, of lower-case digits
///                 6, 7:         nothing: text of the row's trace id, span id
///     metadata  varint keys | per key, ascending: varint + name | u8 coding | u8 presence |
///                 [presence 1: bitmap of rows, low bit first] |
///                 0 constant:   varint + value
///                 1 dictionary: varint values | values × (varint + bytes) | present × u8
///                 2 strings:    present × varint length | bytes
///                 3, 4:         nothing: text of the row's trace id, span id; present where that is
///     ids       twice (16 bytes each, then 8): u8 kind |
///                 0: none · 1: one id of all rows · 2: rows × id · 3: bitmap | present × id |
///                 4 (traces): u8 presence | [presence 1: bitmap] |
///                   present × zigzag distance of its number among the part's to the one before,
///                   from 0
///                 5 (spans, after 4): u8 presence | [bitmap] |
///                   present × varint number among the spans of the row's trace
///
///     chunk of trace ids   4,096 of them, the last fewer: ids × 16 bytes, high half first |
///                          per trace: varint spans | spans × 8 bytes
///
///     dictionary    ascending: words × (u8 letters shared with the one before, u8 others, bytes) |
///                   per word: varint frames of lines n |
///                   n = all: nothing | 8 n > all: bitmap | n × distance − 1 to the one before
///     filter        see `XorFilter`
enum LogFormat {
    static let version: UInt8 = 3
    /// The oldest that is read.
    static let oldestVersion: UInt8 = 2

    enum Section {
        static let info: UInt16 = 1
        static let symbols: UInt16 = 2
        static let streams: UInt16 = 3
        static let postings: UInt16 = 4
        static let frames: UInt16 = 5
        static let blocks: UInt16 = 6
        static let words: UInt16 = 7
        static let traces: UInt16 = 8
        static let identifiers: UInt16 = 9
        static let ranges: UInt16 = 10
        static let data: UInt16 = 256
    }

    enum Time {
        static let constantStep: UInt8 = 0
        static let delta: UInt8 = 1
        static let deltaOfDelta: UInt8 = 2
        static let planes: UInt8 = 3
        /// Bytes that a distance takes as a varint, on average, from which planes are smaller.
        static let planesFrom = 3
    }

    enum Length {
        static let constant: UInt8 = 0
        static let each: UInt8 = 1
        /// Lines are templates and values, which lengths follow from.
        static let templated: UInt8 = 2
    }

    /// Kinds of template numbers: bytes of each.
    enum Templates {
        static let one: UInt8 = 0
        static let bytes: UInt8 = 1
        static let words: UInt8 = 2
    }

    enum Value {
        static let constant: UInt8 = 0
        static let dictionary: UInt8 = 1
        static let strings: UInt8 = 2
        static let numbers: UInt8 = 3
        static let deltas: UInt8 = 4
        static let hex: UInt8 = 5
        static let traceID: UInt8 = 6
        static let spanID: UInt8 = 7
        /// Most values of a dictionary: an index is one byte.
        static let maxDictionary = 256
        /// Most digits of a number: what fits 63 bits.
        static let maxDigits = 18
    }

    /// Most templates of a block.
    static let maxTemplates = 1 << 12
    /// Most values of a line that is not one value as a whole.
    static let maxPlaces = 256

    enum Metadata {
        static let constant: UInt8 = 0
        static let dictionary: UInt8 = 1
        static let strings: UInt8 = 2
        static let traceID: UInt8 = 3
        static let spanID: UInt8 = 4
        /// Most values of a dictionary: an index is one byte.
        static let maxDictionary = 256
    }

    enum Identifier {
        static let none: UInt8 = 0
        static let constant: UInt8 = 1
        static let all: UInt8 = 2
        static let some: UInt8 = 3
        /// Numbers of the part's trace ids.
        static let traceNumbers: UInt8 = 4
        /// Numbers of spans in the rows' traces.
        static let spanNumbers: UInt8 = 5
    }

    /// Trace ids that a part keeps once.
    enum Traces {
        static let chunkCount = 4096
        /// Most of a part.
        static let maxCount = 1 << 24
    }

    /// Most rows of a block. A reader refuses more, since a constant column needs no bytes per row.
    static let maxBlockRows = 1 << 20
    /// Most metadata keys of a block.
    static let maxKeys = 1 << 16
    /// Largest frame after decompression, in bytes: the longest line that a batch can carry.
    static let maxFrameCount = 1 << 30
    /// A data section is closed when it passes this many bytes.
    static let dataSectionTarget = 32 << 20
    /// Frames are closed when they reach this many bytes; a larger column makes its own frame.
    static let lineFrameTarget = 256 << 10
    static let columnFrameTarget = 64 << 10
}
