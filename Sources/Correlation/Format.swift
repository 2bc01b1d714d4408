// SPDX-License-Identifier: Apache-2.0
// Sections of a correlation part; the same diagram is in docs/formats/correlation-part.md.

/// A part holds one UTC day of one tenant, in the sections of a part file (`PartFormat`):
///
///     1 trace ids    (u64 high, u64 low) × n                 ascending, unique          raw
///     2 offsets      u32 × (n + 1)     start of each trace's references in section 3     raw
///     3 references   per trace:                                                          raw
///                    varint logCount      | per log: u64 stream hash, zigzag Δ nanoseconds
///                    varint exemplarCount | per exemplar: varint series, zigzag ms, f64 value,
///                                           varint count, labels
///     4 series       varint n | per series: varint count, labels                         zstd
///     5 services     varint n | per service, by name:                                    zstd
///                    text name | sets: streams, series, namespaces, instances
///                    varint n × (text version, i64 first seen ns)
///                    varint n × (text alias, text source, text rule)
///                    varint n × bucket
///         bucket     zigzag number | varint lines | varint error lines | i64 last seen ns
///                    varint n × (text name, u8 kind, varint count, varint errors, histogram)
///         histogram  varint n × (varint bucket, varint count)
///     7 pick         varint n × (text service, varint n × (zigzag bucket, varint traces × 2 + cut))
///       directory                                                                        zstd
///     8 picks        33 bytes × traces, in the order of section 7:                        raw
///                    u64 trace high, u64 trace low, i64 start ns, i64 duration ns, u8 error
///     9 calls        varint n × text                                                     zstd
///                    varint n × (zigzag bucket, varint caller, varint callee, varint count,
///                                varint errors, histogram)
///                    varint n, n × (u64 trace high, u64 trace low), n × u64 span, n × u8 flags,
///                    u64 parent of each callee, n × varint service, n × varint peer,
///                    n × zigzag Δ start ns, n × varint duration ns
///
///     text = varint count, bytes      set = varint n × (varint count, bytes)
///
/// A trace is found by bisecting section 1; sections 1 to 3 are never decoded whole for that.
/// Sections 7 and 8 came later: a part without them has no picks.
enum CorrelationFormat {
    static let traceIDs: UInt16 = 1
    static let offsets: UInt16 = 2
    static let references: UInt16 = 3
    static let series: UInt16 = 4
    static let services: UInt16 = 5
    static let pickDirectory: UInt16 = 7
    static let picks: UInt16 = 8
    static let calls: UInt16 = 9
}
