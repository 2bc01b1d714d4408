// SPDX-License-Identifier: Apache-2.0
// Metadata of metric families, bounded.

import Base
import Telemetry

/// What senders said of their metric families. A family may have several entries when senders
/// differ; beyond the bounds new ones are not taken, since each is sent again and again.
struct MetadataTable: Sendable {
    static let maxFamilies = 50_000
    static let maxPerFamily = 8

    private(set) var families: [String: [MetricMetadata]] = [:]

    init() {}

    var isEmpty: Bool { families.isEmpty }

    /// Returns whether the entry was new.
    @discardableResult
    mutating func add(_ family: String, _ metadata: MetricMetadata) -> Bool {
        guard let known = families[family] else {
            if families.count >= MetadataTable.maxFamilies { return false }
            families[family] = [metadata]
            return true
        }
        if known.contains(metadata) || known.count >= MetadataTable.maxPerFamily { return false }
        families[family, default: []].append(metadata)
        return true
    }

    mutating func add(_ batch: MetricBatch) {
        for entry in batch.metadata {
            add(
                batch.arena.text(entry.family),
                MetricMetadata(
                    type: entry.type, help: batch.arena.text(entry.help),
                    unit: batch.arena.text(entry.unit)))
        }
    }

    mutating func merge(_ other: MetadataTable) {
        for (family, entries) in other.sorted() { for entry in entries { add(family, entry) } }
    }

    /// Entries by family name, ascending.
    func sorted() -> [(String, [MetricMetadata])] {
        families.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// repeated { family, u8 type, help, unit }, texts with their lengths before them.
    func encode(into writer: inout ByteWriter) {
        for (family, entries) in sorted() {
            for entry in entries {
                writer.lengthPrefixed(family)
                writer.u8(entry.type.rawValue)
                writer.lengthPrefixed(entry.help)
                writer.lengthPrefixed(entry.unit)
            }
        }
    }

    init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let family = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            guard let type = MetricType(rawValue: try reader.u8()) else {
                throw reader.malformed("metric type")
            }
            let help = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            let unit = String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
            add(family, MetricMetadata(type: type, help: help, unit: unit))
        }
    }
}
