// SPDX-License-Identifier: Apache-2.0
// One group of pushed metrics, and its file.

import Base
import Telemetry
import Wire

/// What was pushed last under one grouping key.
struct PushGroup: Sendable {
    var tenant: String
    /// Labels of the grouping key, `job` among them; empty values are kept.
    var grouping: [(name: String, value: String)]
    var families: [String: PushedFamily] = [:]
    /// Time of the last push that was taken, 0 = none.
    var pushMillis: Int64 = 0
    /// Time of the last push that was refused as inconsistent, 0 = none.
    var failureMillis: Int64 = 0

    static let pushTime = "push_time_seconds"
    static let failureTime = "push_failure_time_seconds"

    init(tenant: String, grouping: [(name: String, value: String)]) {
        self.tenant = tenant
        self.grouping = grouping.sorted { $0.name < $1.name }
    }

    /// Tells groups apart: tenant and key.
    var key: [UInt8] {
        var writer = ByteWriter()
        writer.lengthPrefixed(tenant)
        for label in grouping {
            writer.lengthPrefixed(label.name)
            writer.lengthPrefixed(label.value)
        }
        return writer.bytes
    }

    /// Name of the group's file: 128 bits of the key's hash in hexadecimal.
    var fileName: String {
        var text: [UInt8] = []
        key.withUnsafeBytes { bytes in
            appendHexadecimal(hash64(bytes), to: &text)
            appendHexadecimal(hash64(bytes, seed: 0x7075_7368), to: &text)
        }
        return String(decoding: text, as: UTF8.self) + ".group"
    }

    /// Labels of all series, the two times included.
    var series: Set<Labels> {
        var result: Set<Labels> = []
        for family in families.values {
            for ref in family.batch.series { result.insert(family.batch.arena.labels(ref)) }
        }
        result.insert(labels(of: Self.pushTime))
        result.insert(labels(of: Self.failureTime))
        return result
    }

    func labels(of name: String) -> Labels {
        var builder = LabelsBuilder()
        builder.set("__name__", name)
        for label in grouping { builder.set(label.name, label.value) }
        return builder.labels()
    }

    var byteCount: Int {
        families.values.reduce(256) { $0 + $1.batch.arena.count + 64 * $1.batch.series.count }
    }

    /// Adds all series with the time at which they are exposed.
    func add(to batch: inout MetricBatch, millis: Int64) {
        for family in families.values { batch.append(family.batch, millis: millis) }
        for (name, time) in [(Self.pushTime, pushMillis), (Self.failureTime, failureMillis)] {
            batch.addSample(
                series: batch.addSeries(labels(of: name)), millis: millis,
                value: Double(time) / 1000)
        }
    }

    // MARK: file

    private static let magic: UInt32 = 0x4850_5254  // "TRPH"

    /// The group as a file, little-endian, version 1:
    ///
    ///     u32 "TRPH" | u8 version (1) | tenant | varint n | n × (name, value) | i64 push, failure
    ///     varint n | n × (u8 type, name, metric batch as in the log) | u32 CRC32C of all before
    ///
    /// Texts and batches have a varint length before them.
    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.u32(Self.magic)
        writer.u8(1)
        writer.lengthPrefixed(tenant)
        writer.varint(grouping.count)
        for label in grouping {
            writer.lengthPrefixed(label.name)
            writer.lengthPrefixed(label.value)
        }
        writer.i64(pushMillis)
        writer.i64(failureMillis)
        writer.varint(families.count)
        for family in families.values {
            writer.u8(family.type.rawValue)
            writer.lengthPrefixed(family.name)
            var batch = ByteWriter()
            family.batch.encode(into: &batch)
            writer.lengthPrefixed(batch.bytes)
        }
        writer.u32(crc32c(writer.bytes))
        return writer.bytes
    }

    /// - Throws: `MalformedBytes` for anything but an undamaged group.
    init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        guard bytes.count >= 9 else {
            throw MalformedBytes(offset: 0, expected: "a group of at least 9 bytes")
        }
        let body = UnsafeRawBufferPointer(rebasing: bytes.dropLast(4))
        var tail = ByteReader(UnsafeRawBufferPointer(rebasing: bytes.suffix(4)))
        guard try tail.u32() == crc32c(body) else {
            throw MalformedBytes(offset: body.count, expected: "the checksum of the group")
        }
        var reader = ByteReader(body)
        guard try reader.u32() == Self.magic, try reader.u8() == 1 else {
            throw reader.malformed("a push group of version 1")
        }
        func text(_ reader: inout ByteReader) throws(MalformedBytes) -> String {
            String(decoding: try reader.lengthPrefixed(), as: UTF8.self)
        }
        tenant = try text(&reader)
        grouping = []
        for _ in 0..<(try reader.length(limit: reader.remaining / 2, "number of labels")) {
            let name = try text(&reader)
            grouping.append((name, try text(&reader)))
        }
        pushMillis = try reader.i64()
        failureMillis = try reader.i64()
        for _ in 0..<(try reader.length(limit: reader.remaining / 3, "number of families")) {
            guard let type = MetricType(rawValue: try reader.u8()) else {
                throw reader.malformed("metric type")
            }
            var family = PushedFamily(name: try text(&reader), type: type)
            family.batch = try MetricBatch(decoding: try reader.lengthPrefixed())
            families[family.name] = family
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the group") }
    }
}

extension MetricBatch {
    /// Appends the series, samples, histograms and metadata of another batch, all at one time.
    mutating func append(_ other: MetricBatch, millis: Int64) {
        let first = UInt32(truncatingIfNeeded: series.count)
        func kept(_ slice: ByteSlice, _ arena: inout [UInt8]) -> ByteSlice {
            other.arena.withSlice(slice) { arena.keep($0) }
        }
        for ref in other.series {
            series.append(LabelsRef(slice: kept(ref.slice, &arena), hash: ref.hash))
        }
        for i in other.sampleSeries.indices {
            addSample(
                series: first + other.sampleSeries[i], millis: millis,
                value: other.sampleValues[i],
                startMillis: other.sampleStartMillis.isEmpty ? 0 : other.sampleStartMillis[i])
        }
        for i in other.histogramSeries.indices {
            addHistogram(
                series: first + other.histogramSeries[i], millis: millis,
                slice: kept(other.histograms[i], &arena),
                startMillis: other.histogramStartMillis.isEmpty
                    ? 0 : other.histogramStartMillis[i])
        }
        for entry in other.metadata {
            metadata.append(
                Metadata(
                    family: kept(entry.family, &arena), type: entry.type,
                    help: kept(entry.help, &arena), unit: kept(entry.unit, &arena)))
        }
    }
}
