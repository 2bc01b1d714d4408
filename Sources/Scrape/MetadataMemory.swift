// SPDX-License-Identifier: Apache-2.0
// Metadata of the families a target exposes.

import Base
import Telemetry

/// A family's metadata, for the targets page.
package struct TargetMetadata: Sendable, Equatable {
    package var family: String
    package var type: MetricType
    package var help: String
    package var unit: String
}

/// The last metadata of each family, and which of it is still to be written.
///
/// A family's metadata is written when it changes, and all of it once an hour, so that it outlives
/// the parts it came in with. It is forgotten ten scrapes after its family was last seen, as in
/// prometheus/prometheus `scrape/scrape.go`.
struct MetadataMemory: Sendable {
    private struct Entry: Sendable {
        var type = MetricType.unknown
        var help: [UInt8] = []
        var unit: [UInt8] = []
        var seenIn: UInt64 = 0
        var isUnsent = true
    }

    private static let scrapesKept: UInt64 = 10
    private static let repeatNanos: Int64 = 3_600_000_000_000

    private var families = ByteTable()
    private var entries: [Entry] = []
    private var scrape: UInt64 = 0
    private var isSending = false
    private var repeatedAtNanos: Int64?
    /// Whether `list` would differ from what it was when this was last set to false.
    var isChanged = false

    /// Starts a scrape at a monotonic time.
    mutating func begin(nowNanos: Int64) {
        scrape += 1
        isSending = false
        if let repeatedAtNanos, nowNanos &- repeatedAtNanos < Self.repeatNanos { return }
        repeatedAtNanos = nowNanos
        for index in entries.indices { entries[index].isUnsent = true }
    }

    private mutating func number(_ family: UnsafeRawBufferPointer) -> Int {
        let hash = hash64(family)
        let number: Int
        if let known = families.find(family, hash: hash) {
            number = known
        } else {
            number = families.add(family, hash: hash)
            entries.append(Entry())
            isChanged = true
        }
        entries[number].seenIn = scrape
        return number
    }

    mutating func set(type: MetricType, of family: UnsafeRawBufferPointer) {
        let index = number(family)
        if entries[index].type == type { return }
        entries[index].type = type
        changed(index)
    }

    mutating func set(help: UnsafeRawBufferPointer, of family: UnsafeRawBufferPointer) {
        let index = number(family)
        if entries[index].help.withUnsafeBytes({ equalBytes($0, help) }) { return }
        entries[index].help = Array(help)
        changed(index)
    }

    mutating func set(unit: UnsafeRawBufferPointer, of family: UnsafeRawBufferPointer) {
        let index = number(family)
        if entries[index].unit.withUnsafeBytes({ equalBytes($0, unit) }) { return }
        entries[index].unit = Array(unit)
        changed(index)
    }

    private mutating func changed(_ index: Int) {
        entries[index].isUnsent = true
        isChanged = true
    }

    /// Adds what is to be written.
    mutating func add(to batch: inout MetricBatch) {
        isSending = true
        for index in entries.indices where entries[index].isUnsent {
            let entry = entries[index]
            families.withKey(index) { family in
                entry.help.withUnsafeBytes { help in
                    entry.unit.withUnsafeBytes { unit in
                        batch.addMetadata(
                            family: family, type: entry.type, help: help, unit: unit)
                    }
                }
            }
        }
    }

    /// Notes that what was added has been committed.
    mutating func sent() {
        guard isSending else { return }
        isSending = false
        for index in entries.indices { entries[index].isUnsent = false }
    }

    /// Drops families that have not been seen for long.
    mutating func forget() {
        guard entries.contains(where: isOld) else { return }
        var kept = ByteTable()
        var keptEntries: [Entry] = []
        for (index, entry) in entries.enumerated() where !isOld(entry) {
            families.withKey(index) { _ = kept.add($0, hash: families.keys[index].hash) }
            keptEntries.append(entry)
        }
        families = kept
        entries = keptEntries
        isChanged = true
    }

    private func isOld(_ entry: Entry) -> Bool {
        scrape &- entry.seenIn > Self.scrapesKept
    }

    /// Everything, by name of family.
    func list() -> [TargetMetadata] {
        entries.indices.map { index in
            TargetMetadata(
                family: families.withKey(index) { String(decoding: $0, as: UTF8.self) },
                type: entries[index].type,
                help: String(decoding: entries[index].help, as: UTF8.self),
                unit: String(decoding: entries[index].unit, as: UTF8.self))
        }.sorted { $0.family < $1.family }
    }
}
