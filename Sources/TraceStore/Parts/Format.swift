// SPDX-License-Identifier: Apache-2.0
// Trace parts; byte by byte they are described in docs/formats/trace-part.md.

/// Sections of a trace part (the container is described in docs/formats/part.md):
///
///     kind 1  directory   zstd  one entry per block, statistics for skipping   BlockDirectory
///     kind 2  sources     zstd  resources and scopes, once each                SpanBatch coding
///     kind 3  index       zstd  where the frames of the trace index are        TraceIndex
///     kind 4  catalogue   zstd  attribute keys by scope and their values       Catalogue
///     kind 5  filter      raw   of the trace ids                               XorFilter
///     kind 6  rates       zstd  spans per operation and minute                 RateTable
///     kind 0x100 …        raw   frames of blocks
///     kind 0x800 …        raw   frames of the trace index
///
/// Rows are spans, numbered from 0; a block holds up to a few thousand consecutive rows, sorted by
/// (service name, span name, start, trace id, span id, kind), in pieces (`BlockPiece`) and one frame
/// per attribute column, each zstd or raw with a CRC32C of its own. Blocks are in the order of their
/// first rows. Traces are numbered by
/// their first start in the part.
enum TraceFormat {
    static let directory: UInt16 = 1
    static let sources: UInt16 = 2
    static let index: UInt16 = 3
    static let catalogue: UInt16 = 4
    static let filter: UInt16 = 5
    static let rates: UInt16 = 6
    static let blocks: UInt16 = 0x100
    static let indexPages: UInt16 = 0x800
    /// First byte of each of the sections 1, 3, 4 and 6.
    static let version: UInt8 = 2
}

/// The frames that every block has, in the order in which they lie. n is the block's row count;
/// `numbers` is u8 0, varint of all rows, or u8 1, n × varint; `strings` see `StringColumn`.
enum BlockPiece: Int, CaseIterable, Sendable {
    /// u64 × n, never compressed.
    case spanIDs
    /// zigzag × n: trace number less the one before.
    case traces
    /// See `ParentColumn`.
    case parents
    /// zigzag × n: start less the one before, in nanoseconds.
    case starts
    /// zigzag × n: end − start.
    case durations
    /// strings.
    case names
    /// numbers each: kind, status, resource, scope.
    case sources
    /// numbers each: flags, dropped attributes, dropped events, dropped links.
    case flags
    /// strings each: status messages, trace states.
    case texts
    /// See `TreeColumns`.
    case tree
    case times
    /// See `AttributeColumns`.
    case layout
    /// See `EventColumns` and `LinkColumns`; absent when no row has one.
    case events
    case links
}
