// SPDX-License-Identifier: Apache-2.0
// A metric batch as the payload of a log record.

import Base

/// Layout, little-endian, version 2:
///
///     u8 version (2) | varint n | varint bytes of all labels | n label sets (`LabelFrontCoding`)
///     varint n | n × f64 | indices | times | starts                     float samples
///     varint n | n × (varint count, bytes) | indices | times | starts   histograms
///     varint n | n × f64 | n × (varint count, bytes) | indices | times  exemplars and their labels
///     varint n | n × (u8 type, 3 × (varint count, bytes))               family, help, unit
///
///     indices = u8 0, n × u32   or   u8 1: the i-th entry belongs to series i
///     times   = u8 0, n × i64   or   u8 1, i64: one time for all
///     starts  = u8 0: none      or   u8 1, n × i64
///
/// Most scrapes and remote writes have one sample per series at one time: such a batch costs
/// eight bytes per sample besides what its labels differ in. Hashes are not stored: recomputing
/// them is what makes a decoded batch trustworthy. Version 1, which is still read, has an arena in
/// place of the label sets and slices of it in place of bytes.
extension MetricBatch {
    package static let codingVersion: UInt8 = 2

    /// Appends the payload. O(bytes of the batch).
    package func encode(into writer: inout ByteWriter) {
        arena.withUnsafeBytes { encode($0, into: &writer) }
    }

    private func encode(_ arena: UnsafeRawBufferPointer, into writer: inout ByteWriter) {
        func bytes(_ slice: ByteSlice) {
            writer.lengthPrefixed(UnsafeRawBufferPointer(rebasing: arena[slice.range]))
        }
        writer.u8(MetricBatch.codingVersion)
        writer.varint(series.count)
        writer.varint(series.reduce(0) { $0 + Int($1.slice.count) })
        LabelFrontCoding.encode(series, arena, into: &writer)

        writer.varint(sampleSeries.count)
        writer.column(sampleValues)
        writer.indices(sampleSeries)
        writer.times(sampleMillis)
        writer.starts(sampleStartMillis)

        writer.varint(histogramSeries.count)
        for slice in histograms { bytes(slice) }
        writer.indices(histogramSeries)
        writer.times(histogramMillis)
        writer.starts(histogramStartMillis)

        writer.varint(exemplarSeries.count)
        writer.column(exemplarValues)
        for slice in exemplarLabels { bytes(slice) }
        writer.indices(exemplarSeries)
        writer.times(exemplarMillis)

        writer.varint(metadata.count)
        for entry in metadata {
            writer.u8(entry.type.rawValue)
            for slice in [entry.family, entry.help, entry.unit] { bytes(slice) }
        }
    }

    /// Reads a payload and checks everything in it: indices lie inside `series`, slices inside the
    /// arena, label sets are canonical, histograms decode. Memory is bounded by a small multiple of
    /// the input and `LabelFrontCoding.maxBytes`.
    ///
    /// - Throws: `MalformedBytes` with the offset in the payload.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(MalformedBytes) {
        self.init()
        var reader = ByteReader(bytes)
        let version = try reader.u8()
        var stored: UnsafeRawBufferPointer?
        switch version {
        case MetricBatch.codingVersion:
            // A set takes three bytes at least, so no count can exceed what is left.
            let n = try reader.length(limit: reader.remaining / 3, "number of series")
            let total = try reader.length(limit: LabelFrontCoding.maxBytes, "bytes of labels")
            (arena, series) = try LabelFrontCoding.decode(n, total: total, &reader)
        case 1: stored = try decodeVersion1(&reader)
        default:
            throw reader.malformed("metric batch of version \(MetricBatch.codingVersion) or 1")
        }
        let seriesCount = series.count
        /// Where the next piece of bytes lies, in the arena by now.
        func piece() throws(MalformedBytes) -> ByteSlice {
            if let stored { return try reader.slice(within: stored.count) }
            let bytes = try reader.lengthPrefixed()
            guard arena.count + bytes.count <= Int(UInt32.max) else {
                throw reader.malformed("a batch below 4 GiB")
            }
            return arena.keep(bytes)
        }

        var n = try reader.length(limit: reader.remaining / 8, "number of samples")
        sampleValues = try reader.column(n, of: Double.self)
        sampleSeries = try reader.indices(n, below: seriesCount)
        sampleMillis = try reader.times(n)
        sampleStartMillis = try reader.starts(n)

        n = try reader.length(limit: reader.remaining / 2, "number of histograms")
        histograms.reserveCapacity(n)
        for _ in 0..<n {
            let slice = try piece()
            let flaw: MalformedBytes? = arena.withSlice(slice) { bytes in
                do throws(MalformedBytes) {
                    _ = try NativeHistogram(decoding: bytes)
                    return nil
                } catch { return error }
            }
            if let flaw { throw reader.malformed("histogram: \(flaw)") }
            histograms.append(slice)
        }
        histogramSeries = try reader.indices(n, below: seriesCount)
        histogramMillis = try reader.times(n)
        histogramStartMillis = try reader.starts(n)

        n = try reader.length(limit: reader.remaining / 8, "number of exemplars")
        exemplarValues = try reader.column(n, of: Double.self)
        exemplarLabels.reserveCapacity(n)
        for _ in 0..<n {
            let slice = try piece()
            guard arena.withSlice(slice, { isCanonicalLabels($0) }) else {
                throw reader.malformed("canonical exemplar labels")
            }
            exemplarLabels.append(slice)
        }
        exemplarSeries = try reader.indices(n, below: seriesCount)
        exemplarMillis = try reader.times(n)

        n = try reader.length(limit: reader.remaining / 4, "number of metadata entries")
        for _ in 0..<n {
            guard let type = MetricType(rawValue: try reader.u8()) else {
                throw reader.malformed("metric type")
            }
            metadata.append(
                Metadata(
                    family: try piece(), type: type, help: try piece(), unit: try piece()))
        }
        guard reader.isAtEnd else { throw reader.malformed("end of the batch") }
    }

    /// Reads what version 1 begins with:
    ///
    ///     varint arenaCount | arena | varint n | n × (varint offset, varint count)
    ///
    /// - Returns: the arena, which slices lie in.
    private mutating func decodeVersion1(
        _ reader: inout ByteReader
    ) throws(MalformedBytes) -> UnsafeRawBufferPointer {
        let stored = try reader.lengthPrefixed()
        guard stored.count <= Int(UInt32.max) else { throw reader.malformed("arena below 4 GiB") }
        arena = [UInt8](stored)
        // A slice takes two bytes at least.
        let n = try reader.length(limit: reader.remaining / 2, "number of series")
        series.reserveCapacity(n)
        for _ in 0..<n {
            let slice = try reader.slice(within: stored.count)
            let labels = UnsafeRawBufferPointer(rebasing: stored[slice.range])
            guard isCanonicalLabels(labels) else { throw reader.malformed("canonical labels") }
            series.append(LabelsRef(slice: slice, hash: hash64(labels)))
        }
        return stored
    }
}

extension ByteWriter {
    fileprivate mutating func indices(_ values: [UInt32]) {
        let isIdentity = values.indices.allSatisfy { Int(values[$0]) == $0 }
        u8(isIdentity ? 1 : 0)
        if !isIdentity { column(values) }
    }

    fileprivate mutating func times(_ millis: [Int64]) {
        if let first = millis.first, millis.allSatisfy({ $0 == first }) {
            u8(1)
            i64(first)
        } else {
            u8(0)
            column(millis)
        }
    }

    fileprivate mutating func starts(_ millis: [Int64]) {
        u8(millis.isEmpty ? 0 : 1)
        column(millis)
    }
}

extension ByteReader {
    fileprivate mutating func slice(within arenaCount: Int) throws(MalformedBytes) -> ByteSlice {
        let offset = try length(limit: arenaCount, "arena offset")
        let count = try length(limit: arenaCount - offset, "arena slice")
        return ByteSlice(offset: offset, count: count)
    }

    /// A mode byte that must be 0 or 1.
    private mutating func mode() throws(MalformedBytes) -> Bool {
        let byte = try u8()
        guard byte <= 1 else { throw malformed("column mode 0 or 1") }
        return byte == 1
    }

    fileprivate mutating func indices(
        _ n: Int, below limit: Int
    ) throws(MalformedBytes) -> [UInt32] {
        if try mode() {
            guard n <= limit else { throw malformed("at most \(limit) entries, one per series") }
            return (0..<n).map { UInt32(truncatingIfNeeded: $0) }
        }
        let values = try column(n, of: UInt32.self)
        guard values.allSatisfy({ Int($0) < limit }) else {
            throw malformed("series indices below \(limit)")
        }
        return values
    }

    fileprivate mutating func times(_ n: Int) throws(MalformedBytes) -> [Int64] {
        if try mode() {
            return [Int64](repeating: try i64(), count: n)
        }
        return try column(n, of: Int64.self)
    }

    fileprivate mutating func starts(_ n: Int) throws(MalformedBytes) -> [Int64] {
        try mode() ? try column(n, of: Int64.self) : []
    }
}
