// SPDX-License-Identifier: Apache-2.0
// Trace parts byte by byte; the same diagram is in docs/formats/trace-part.md.

/// Sections of a trace part (the container is described in docs/formats/part.md):
///
///     kind 1  directory   zstd  one entry per block, statistics for skipping   BlockDirectory
///     kind 2  sources     zstd  resources and scopes, once each                SpanBatch coding
///     kind 3  index       zstd  first trace id and frame of each index page    TraceIndex
///     kind 4  catalogue   zstd  attribute keys by scope and their values       Catalogue
///     kind 0x100 …        raw   frames of blocks
///     kind 0x800 …        raw   frames of the trace index
///
/// Rows are spans sorted by (service name, span name, start, trace id, span id, kind) and numbered
/// from 0; a block holds up to a few thousand consecutive rows in five frames, each zstd or raw
/// with a CRC32C of its own:
///
///     ids          (high u64, low u64) × n | span u64 × n | parent u64 × n
///     core         13 columns, each varint byteCount + bytes:
///                  start (zigzag varint deltas) | duration (zigzag varint) | name (strings) |
///                  kind u8 | status u8 | resource varint | scope varint | flags varint |
///                  dropped attributes, events, links (varint each) |
///                  status message (strings) | trace state (strings)
///     attributes   AttributeColumns of n lists
///     events       see SpanLists; absent when no span has one
///     links        likewise
///
/// strings = varint d, d × (varint count, bytes), n × varint index.
enum TraceFormat {
    static let directory: UInt16 = 1
    static let sources: UInt16 = 2
    static let index: UInt16 = 3
    static let catalogue: UInt16 = 4
    static let blocks: UInt16 = 0x100
    static let indexPages: UInt16 = 0x800
    /// First byte of each of the sections 1, 3 and 4.
    static let version: UInt8 = 1
    /// Columns of a core frame.
    static let coreColumns = 13
}
