// SPDX-License-Identifier: Apache-2.0
// An opened part: services in memory; traces and calls are looked up in the file.

import Base
import Storage
import Telemetry

/// See `CorrelationFormat`. Every length, offset and label set is checked, so that a damaged file
/// gives a fault and never a crash.
final class CorrelationPart: Sendable {
    let handle: PartHandle
    let services: [String: ServiceIndex]
    private let series: [Labels]
    private let ids: PartReader.Section
    private let offsets: PartReader.Section
    private let exemplars: PartReader.Section
    private let pickRows: PartReader.Section
    private let pickEntries: [String: [PickEntry]]
    private let lines: PartReader.Section
    private let linePages: LinePages
    /// Traces with exemplars.
    let traceCount: Int

    var id: UInt64 { handle.descriptor.id }
    var tenant: String { handle.descriptor.tenant }
    var day: Int32 { handle.descriptor.day }

    /// Reads the whole file once and checks its sections.
    init(_ handle: PartHandle) throws(PartCorruption) {
        self.handle = handle
        let reader = handle.reader
        func fault(_ problem: String) -> PartCorruption {
            PartCorruption(name: reader.name, offset: 0, problem: problem)
        }
        guard reader.signal == .correlation else {
            throw fault("a part of \(reader.signal.name), not of correlation")
        }
        func checked(_ kind: UInt16) throws(PartCorruption) -> PartReader.Section {
            guard let section = reader.section(kind) else {
                throw fault("section \(kind) is missing")
            }
            guard reader.withStored(section, { crc32c($0) }) == section.crc else {
                throw fault("checksum of section \(kind) differs")
            }
            return section
        }
        func raw(_ kind: UInt16) throws(PartCorruption) -> PartReader.Section {
            let section = try checked(kind)
            guard section.coding == 0 else { throw fault("section \(kind) is not raw") }
            return section
        }
        _ = try checked(CorrelationFormat.calls)
        ids = try raw(CorrelationFormat.traceIDs)
        offsets = try raw(CorrelationFormat.offsets)
        exemplars = try raw(CorrelationFormat.exemplars)
        traceCount = ids.storedCount / 16
        guard ids.storedCount % 16 == 0, offsets.storedCount == 4 * (traceCount + 1) else {
            throw fault("\(ids.storedCount) bytes of trace ids, \(offsets.storedCount) of offsets")
        }
        let rows = try raw(CorrelationFormat.picks), pages = try raw(CorrelationFormat.lines)
        pickRows = rows
        lines = pages
        let pickBytes = try reader.read(CorrelationFormat.pickDirectory)
        let lineBytes = try reader.read(CorrelationFormat.lineDirectory)
        let seriesBytes = try reader.read(CorrelationFormat.series)
        let serviceBytes = try reader.read(CorrelationFormat.services)
        do throws(MalformedBytes) {
            series = try decode(seriesBytes) { r throws(MalformedBytes) in try r.labelSets() }
            services = try decode(serviceBytes) { r throws(MalformedBytes) in try r.services() }
            pickEntries = try decode(pickBytes) { r throws(MalformedBytes) in
                try r.pickDirectory(bytes: rows.storedCount)
            }
            linePages = try decode(lineBytes) { r throws(MalformedBytes) in
                try LinePages(directory: &r, bytes: pages.storedCount)
            }
        } catch { throw fault("\(error)") }
    }

    /// What the part knows of a trace. O(log n), a page and the size of the answer.
    func refs(_ id: TraceID) throws(PartCorruption) -> TraceRefs {
        var refs = TraceRefs()
        refs.logs = try decoding(lines) { bytes throws(MalformedBytes) in
            try linePages.references(id, in: bytes)
        }
        refs.exemplars = try exemplars(of: id)
        return refs
    }

    private func exemplars(of id: TraceID) throws(PartCorruption) -> [ExemplarReference] {
        let found = handle.reader.withStored(ids) { bytes -> Int? in
            var low = 0, high = traceCount
            while low < high {
                let middle = (low + high) / 2
                let candidate = CorrelationPart.id(bytes, middle)
                if candidate == id { return middle }
                if candidate < id { low = middle + 1 } else { high = middle }
            }
            return nil
        }
        return try found.map { number throws(PartCorruption) in try exemplars(at: number) } ?? []
    }

    /// Traces of a service in the buckets of a range, by bucket. O(buckets and picks).
    func picks(
        _ service: String, _ range: NanosRange = .all
    ) throws(PartCorruption) -> [(bucket: Int64, picks: TracePicks)] {
        let first = ServiceBucket.number(range.first.rawValue)
        let last = ServiceBucket.number(range.last.rawValue)
        var result: [(bucket: Int64, picks: TracePicks)] = []
        for entry in pickEntries[service] ?? []
        where first <= entry.bucket && entry.bucket <= last {
            let picks = try decoding(pickRows) { bytes throws(MalformedBytes) in
                var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[entry.range]))
                var picks = TracePicks()
                try TracePickCoding.decode(
                    &reader, bucket: entry.bucket, count: entry.count, into: &picks)
                if entry.isCut { picks.markCut() }
                guard reader.isAtEnd else { throw reader.malformed("the end of picks") }
                return picks
            }
            result.append((entry.bucket, picks))
        }
        return result
    }

    /// The calls of the part. Reads the section each time: a busy day has more calls that wait for
    /// their other side than can be kept in memory. O(calls of the part).
    func calls() throws(PartCorruption) -> CallIndex {
        let bytes = try handle.reader.read(CorrelationFormat.calls)
        do throws(MalformedBytes) {
            return try decode(bytes) { r throws(MalformedBytes) in try CallIndex(decoding: &r) }
        } catch {
            let section = handle.reader.section(CorrelationFormat.calls)
            throw PartCorruption(
                name: handle.reader.name, offset: section?.offset ?? 0,
                problem: "calls: \(error)")
        }
    }

    /// Everything but the calls, for merging and checking.
    func decoded() throws(PartCorruption) -> DayIndex {
        var day = DayIndex()
        day.services = services
        day.lines = try decoding(lines) { bytes throws(MalformedBytes) in
            try linePages.all(in: bytes)
        }
        for i in 0..<traceCount {
            let id = handle.reader.withStored(ids) { CorrelationPart.id($0, i) }
            day.exemplars[id] = try exemplars(at: i)
        }
        for name in pickEntries.keys.sorted() {
            for (bucket, picks) in try picks(name) {
                day.services[name]?.buckets[bucket]?.picks = picks
            }
        }
        guard day.exemplars.count == traceCount else {
            throw PartCorruption(
                name: handle.reader.name, offset: ids.offset, problem: "trace ids repeat")
        }
        day.minNanos = handle.descriptor.minNanos
        day.maxNanos = handle.descriptor.maxNanos
        return day
    }

    private static func id(_ bytes: UnsafeRawBufferPointer, _ i: Int) -> TraceID {
        TraceID(
            high: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 16 * i, as: UInt64.self)),
            low: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: 16 * i + 8, as: UInt64.self)))
    }

    private func exemplars(at i: Int) throws(PartCorruption) -> [ExemplarReference] {
        let (first, last) = handle.reader.withStored(offsets) { bytes in
            (
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i, as: UInt32.self)),
                UInt32(
                    littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * i + 4, as: UInt32.self))
            )
        }
        guard first <= last, Int(last) <= exemplars.storedCount else {
            throw PartCorruption(
                name: handle.reader.name, offset: offsets.offset,
                problem: "exemplars of trace \(i) outside")
        }
        return try decoding(exemplars) { bytes throws(MalformedBytes) in
            var reader = ByteReader(
                UnsafeRawBufferPointer(rebasing: bytes[Int(first)..<Int(last)]))
            return try reader.exemplars(series)
        }
    }

    /// Runs a decoder over a section where it lies.
    private func decoding<R>(
        _ section: PartReader.Section,
        _ body: (UnsafeRawBufferPointer) throws(MalformedBytes) -> R
    ) throws(PartCorruption) -> R {
        let result = handle.reader.withStored(section) { bytes -> Result<R, MalformedBytes> in
            do throws(MalformedBytes) { return .success(try body(bytes)) } catch {
                return .failure(error)
            }
        }
        do throws(MalformedBytes) { return try result.get() } catch {
            throw PartCorruption(
                name: handle.reader.name, offset: section.offset + error.offset,
                problem: "section \(section.kind): \(error)")
        }
    }
}

/// Runs a decoder over all of some bytes.
private func decode<T>(
    _ bytes: [UInt8], _ body: (inout ByteReader) throws(MalformedBytes) -> T
) throws(MalformedBytes) -> T {
    let result = bytes.withUnsafeBytes { all -> Result<T, MalformedBytes> in
        var reader = ByteReader(all)
        do throws(MalformedBytes) {
            let value = try body(&reader)
            return reader.isAtEnd ? .success(value) : .failure(reader.malformed("end of section"))
        } catch { return .failure(error) }
    }
    return try result.get()
}

extension ByteReader {
    fileprivate mutating func text() throws(MalformedBytes) -> String {
        String(decoding: try lengthPrefixed(), as: UTF8.self)
    }

    fileprivate mutating func labels() throws(MalformedBytes) -> Labels {
        let bytes = try lengthPrefixed()
        guard isCanonicalLabels(bytes) else { throw malformed("canonical labels") }
        return Labels(canonical: [UInt8](bytes))
    }

    fileprivate mutating func labelSets() throws(MalformedBytes) -> [Labels] {
        let n = try length(limit: remaining, "number of label sets")
        var sets: [Labels] = []
        for _ in 0..<n { sets.append(try labels()) }
        return sets
    }

    private mutating func texts() throws(MalformedBytes) -> Set<String> {
        let n = try length(limit: remaining, "number of texts")
        var set: Set<String> = []
        for _ in 0..<n { set.insert(try text()) }
        return set
    }

    fileprivate mutating func exemplars(
        _ series: [Labels]
    ) throws(MalformedBytes) -> [ExemplarReference] {
        var result: [ExemplarReference] = []
        for _ in 0..<(try length(limit: remaining / 11, "number of exemplars")) {
            let number = try length(limit: Int.max, "series number")
            guard number < series.count else { throw malformed("series below \(series.count)") }
            let millis = try zigzag(), value = try double()
            result.append(
                ExemplarReference(
                    series: series[number], millis: millis, value: value, labels: try labels()))
        }
        guard isAtEnd else { throw malformed("end of exemplars") }
        return result
    }

    fileprivate mutating func services() throws(MalformedBytes) -> [String: ServiceIndex] {
        let n = try length(limit: remaining, "number of services")
        var services: [String: ServiceIndex] = [:]
        for _ in 0..<n {
            let name = try text()
            services[name] = try service()
        }
        return services
    }

    private mutating func service() throws(MalformedBytes) -> ServiceIndex {
        var service = ServiceIndex()
        service.streams = Set(try labelSets())
        service.series = Set(try labelSets())
        service.namespaces = try texts()
        service.instances = try texts()
        for _ in 0..<(try length(limit: remaining, "number of versions")) {
            let version = try text()
            service.versions[version] = try i64()
        }
        for _ in 0..<(try length(limit: remaining, "number of aliases")) {
            service.aliases.insert(
                ServiceAlias(alias: try text(), source: try text(), rule: try text()))
        }
        for _ in 0..<(try length(limit: remaining, "number of buckets")) {
            let number = try zigzag()
            // Beyond these numbers no nanosecond falls.
            guard abs(number / 2) < Int64.max / ServiceBucket.width else {
                throw malformed("bucket number")
            }
            service.buckets[number] = try bucket()
        }
        return service
    }

    private mutating func bucket() throws(MalformedBytes) -> ServiceBucket {
        var bucket = ServiceBucket()
        bucket.logLineCount = try varint()
        bucket.errorLogLineCount = try varint()
        bucket.lastSeenNanos = try i64()
        for _ in 0..<(try length(limit: remaining, "number of operations")) {
            let key = OperationKey(name: try text(), kind: try u8())
            var counts = OperationCounts()
            counts.count = try varint()
            counts.errorCount = try varint()
            counts.durations = try DurationHistogram(from: &self)
            bucket.operations[key] = counts
        }
        return bucket
    }

    /// - Parameter limit: bytes of section 8.
    fileprivate mutating func pickDirectory(
        bytes limit: Int
    ) throws(MalformedBytes) -> [String: [PickEntry]] {
        var directory: [String: [PickEntry]] = [:]
        var offset = 0
        for _ in 0..<(try length(limit: remaining, "number of services")) {
            let name = try text()
            var entries: [PickEntry] = []
            for _ in 0..<(try length(limit: remaining, "number of buckets")) {
                let number = try zigzag()
                // Beyond these numbers no nanosecond falls.
                guard abs(number / 2) < Int64.max / ServiceBucket.width else {
                    throw malformed("bucket number")
                }
                let coded = try length(limit: 2 * TracePicks.most + 1, "number of traces")
                let count = try length(limit: limit - offset, "bytes of picks")
                guard count >= coded / 2 * TracePickCoding.leastBytes else {
                    throw malformed("bytes for \(coded / 2) traces")
                }
                entries.append(
                    PickEntry(
                        bucket: number, range: offset..<offset + count, count: coded / 2,
                        isCut: coded % 2 == 1))
                offset += count
            }
            directory[name] = entries
        }
        guard offset == limit else { throw malformed("\(limit) bytes of picks") }
        return directory
    }
}
