// SPDX-License-Identifier: Apache-2.0
// Sections of a correlation part; the same diagram is in docs/formats/correlation-part.md.

/// A part holds one UTC day of one tenant, in the sections of a part file (`PartFormat`):
///
///     1 trace ids    (u64 high, u64 low) × n     traces with exemplars, ascending        raw
///     2 offsets      u32 × (n + 1)     start of each trace's exemplars in section 3      raw
///     3 exemplars    per trace: varint n, per exemplar: varint series, zigzag ms,        raw
///                    f64 value, varint count, labels
///     4 series       varint n | per series: varint count, labels                         zstd
///     5 services     varint n | per service, by name:                                    zstd
///                    text name | sets: streams, series, namespaces, instances
///                    varint n × (text version, i64 first seen ns)
///                    varint n × (text alias, text source, text rule)
///                    varint n × bucket
///         bucket     zigzag number | varint lines | varint error lines | i64 last seen ns
///                    varint n × (text name, u8 kind, varint count, varint errors, histogram)
///         histogram  varint n × (varint bucket − the one before, varint count)
///     7 pick         varint n × (text service, varint n × (zigzag bucket, varint traces × 2 + cut,
///       directory                                            varint bytes))              zstd
///     8 picks        per trace, in the order of section 7: u64 trace high, u64 trace low, raw
///                    zigzag (start − begin of the bucket), varint 2 × duration + error
///    10 line         varint n, n × u64 stream hash | zigzag first window | varint rows  zstd
///       directory    per page of 256 rows: u32 key of its first row, varint bytes
///    11 lines        per group: varint (key − that of the group before), varint (window  raw
///                    − that of the group before with the same key, else the first window),
///                    per row: varint 2 × stream + is last of the group
///    12 calls        varint n × text                                                    zstd
///                    varint n × (zigzag bucket, varint caller, varint callee, varint count,
///                                varint errors, histogram)
///                    varint groups × (zigzag bucket, varint 2 × rows + is of callees)
///                    per group its rows' varint (key − that of the row before)
///                    columns over all rows: u40 key of parent of callees, u8 flags,
///                    varint service, varint peer of callers, low and high u8 of duration
///
///     text = varint count, bytes      set = varint n × (varint count, bytes)
///
/// Sections 1 to 3, 8 and 11 are read where they lie. Parts from before sections 10 to 12 are refused.
enum CorrelationFormat {
    static let traceIDs: UInt16 = 1
    static let offsets: UInt16 = 2
    static let exemplars: UInt16 = 3
    static let series: UInt16 = 4
    static let services: UInt16 = 5
    static let pickDirectory: UInt16 = 7
    static let picks: UInt16 = 8
    static let lineDirectory: UInt16 = 10
    static let lines: UInt16 = 11
    static let calls: UInt16 = 12
}
