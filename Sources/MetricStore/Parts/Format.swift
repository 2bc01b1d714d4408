// SPDX-License-Identifier: Apache-2.0
// Sections of a metric part; the same text is in docs/formats/metric-part.md.

/// Sections of a metric part, inside the part file that `PartFormat` describes. Little-endian;
/// `varint` is LEB128, `zigzag` a zigzag-coded varint, `text` a varint count and bytes.
///
///     1 summary    u8 version | varint seriesCount | varint sampleCount
///                  zigzag minMillis | zigzag maxMillis
///                  version 2: varint length of a bucket in milliseconds, above 0
///     2 symbols    texts, ascending bytewise, unique; symbol i is the i-th
///     3 series     per series, ascending by labels:
///                    varint labelCount, labelCount × (varint name symbol, varint value symbol)
///                    varint chunkCount, chunkCount × chunk entry
///                  chunk entry: zigzag time column − previous entry's
///                    varint gap from the end of the previous chunk in 6, varint byteCount
///                  (both "previous" run through all series of the section, and begin at 0)
///     4 times      per time column: u8 kind | varint count | zigzag first | varint last − first
///                    kind 0: a regular grid; the span is a multiple of count − 1
///                    kind 1: varint offset in 6, varint byteCount of an integer column
///     5 blocks     per block of 6: varint byteCount | u32 crc32c | zigzag minMillis
///                    varint maxMillis − minMillis
///     6 data       blocks of about 64 KiB, back to back; no column crosses a block
///     7 labels     per label name, ascending: varint symbol | varint valueCount, then per value,
///                    ascending: varint symbol | varint seriesCount | varint byteCount in 8
///     8 postings   the lists of 7 in order (`Postings` coding), rows = series numbers of 3
///     9 exemplars  per series that has some: varint series number | varint count
///                    count × (zigzag millis − previous, f64 value, text canonical labels)
///    10 metadata   per entry: text family | u8 type | text help | text unit
///
/// A chunk in 6:
///
///     u8 flags (bit 0 histograms, bit 1 starts, bit 2 aggregates, bit 3 falls)
///     [varint byteCount of values, if starts or aggregates]
///     values: floats as a value column; histograms as u8 coding (0 raw, 1 zstd),
///       varint plainCount, and texts of `NativeHistogram.encode`
///     starts: runs of equal start timestamps: varint run length, zigzag start − previous
///     aggregates: least, greatest, sum and count of each bucket, each a varint byteCount and a
///       value column; values are then the last ones
///
/// Aggregates and falls are in parts of version 2 only. Float chunks of a series ascend and do not
/// overlap; so do its histogram chunks, which follow them, and its falls, which come last. Time columns are shared by all series of one scrape grid.
enum MetricPartFormat {
    /// Of raw parts, and of down-sampled ones.
    static let version: UInt8 = 1
    static let coarseVersion: UInt8 = 2

    enum Section {
        static let summary: UInt16 = 1
        static let symbols: UInt16 = 2
        static let series: UInt16 = 3
        static let times: UInt16 = 4
        static let blocks: UInt16 = 5
        static let data: UInt16 = 6
        static let labels: UInt16 = 7
        static let postings: UInt16 = 8
        static let exemplars: UInt16 = 9
        static let metadata: UInt16 = 10
    }

    enum TimeKind {
        static let grid: UInt8 = 0
        static let column: UInt8 = 1
    }

    enum ChunkFlags {
        static let histograms: UInt8 = 1
        static let starts: UInt8 = 2
        static let aggregates: UInt8 = 4
        static let falls: UInt8 = 8
        static let all: UInt8 = 15
        /// What stands behind the values, so that they say their size.
        static let sized: UInt8 = starts | aggregates
    }

    /// Samples in a chunk as it is written.
    static let chunkSamples = 1024
    /// Most samples in a chunk that is read.
    static let maxChunkSamples = 1 << 16
    /// Bytes of encoded histograms after which a chunk ends.
    static let histogramChunkBytes = 256 << 10
    /// Most bytes of encoded histograms in a chunk that is read.
    static let maxHistogramBytes = 64 << 20
    /// Bytes after which a block ends.
    static let blockBytes = 64 << 10
    /// Most labels of a series that is read.
    static let maxLabels = 1 << 16
    static let millisPerDay: Int64 = 86_400_000
    /// Longest bucket.
    static let maxResolutionMillis: Int64 = 86_400_000
}

/// The UTC day of a time in milliseconds, rounding towards the past.
func utcDay(ofMillis millis: Int64) -> Int64 {
    let quotient = millis / MetricPartFormat.millisPerDay
    return millis % MetricPartFormat.millisPerDay < 0 ? quotient - 1 : quotient
}
