// SPDX-License-Identifier: Apache-2.0
// A day of the index as the bytes of a part.

import Base
import Storage
import Telemetry

extension DayIndex {
    /// The whole part file. The same index gives the same bytes. O(entries · log).
    ///
    /// - Parameter maxReferences: of each trace.
    func encodePart(level: Int32, maxReferences: Int) -> [UInt8] {
        var part = PartWriter(signal: .correlation)
        encodeExemplars(level, into: &part)
        part.add(kind: CorrelationFormat.services, encodedServices(), .zstd(level: level))
        let (directory, picks) = encodedPicks()
        part.add(kind: CorrelationFormat.pickDirectory, directory, .zstd(level: level))
        part.add(kind: CorrelationFormat.picks, picks)
        let sorted = lines.sorted(most: maxReferences)
        let pages = LinePages.encode(streams: sorted.streams, rows: sorted.rows)
        part.add(kind: CorrelationFormat.lineDirectory, pages.directory, .zstd(level: level))
        part.add(kind: CorrelationFormat.lines, pages.pages)
        part.add(kind: CorrelationFormat.calls, calls.encoded(), .zstd(level: level))
        return part.finish()
    }

    /// Sections 1 to 4.
    private func encodeExemplars(_ level: Int32, into part: inout PartWriter) {
        var ids = ByteWriter(), offsets = ByteWriter(), references = ByteWriter()
        var numbers: [Labels: Int] = [:]
        var table: [Labels] = []
        for (id, found) in exemplars.sorted(by: { $0.key < $1.key }) {
            var refs = TraceRefs()
            refs.exemplars = found
            refs.normalise()
            ids.u64(id.high)
            ids.u64(id.low)
            offsets.u32(UInt32(truncatingIfNeeded: references.count))
            references.varint(refs.exemplars.count)
            for exemplar in refs.exemplars {
                let number = numbers[exemplar.series] ?? table.count
                if number == table.count {
                    numbers[exemplar.series] = number
                    table.append(exemplar.series)
                }
                references.varint(number)
                references.zigzag(exemplar.millis)
                references.double(exemplar.value)
                references.lengthPrefixed(exemplar.labels.bytes)
            }
        }
        offsets.u32(UInt32(truncatingIfNeeded: references.count))
        var series = ByteWriter()
        series.varint(table.count)
        for labels in table { series.lengthPrefixed(labels.bytes) }
        part.add(kind: CorrelationFormat.traceIDs, ids.bytes)
        part.add(kind: CorrelationFormat.offsets, offsets.bytes)
        part.add(kind: CorrelationFormat.exemplars, references.bytes)
        part.add(kind: CorrelationFormat.series, series.bytes, .zstd(level: level))
    }

    /// Section 7 and section 8.
    private func encodedPicks() -> (directory: [UInt8], picks: [UInt8]) {
        var directory = ByteWriter(), rows = ByteWriter()
        let picked = services.filter {
            $0.value.buckets.values.contains { !$0.picks.entries.isEmpty }
        }
        directory.varint(picked.count)
        for (name, service) in picked.sorted(by: { $0.key < $1.key }) {
            let buckets = service.buckets.filter { !$0.value.picks.entries.isEmpty }
            directory.lengthPrefixed(name)
            directory.varint(buckets.count)
            for (number, bucket) in buckets.sorted(by: { $0.key < $1.key }) {
                var picks = bucket.picks
                picks.trim()
                directory.zigzag(number)
                directory.varint(picks.entries.count << 1 | (picks.isCut ? 1 : 0))
                let begin = rows.count
                TracePickCoding.encode(picks, bucket: number, into: &rows)
                directory.varint(rows.count - begin)
            }
        }
        return (directory.bytes, rows.bytes)
    }

    private func encodedServices() -> [UInt8] {
        var writer = ByteWriter()
        writer.varint(services.count)
        for (name, service) in services.sorted(by: { $0.key < $1.key }) {
            writer.lengthPrefixed(name)
            service.encode(into: &writer)
        }
        return writer.bytes
    }
}

extension ServiceIndex {
    func encode(into writer: inout ByteWriter) {
        for set in [streams, series] {
            writer.varint(set.count)
            for labels in set.sorted() { writer.lengthPrefixed(labels.bytes) }
        }
        for set in [namespaces, instances] {
            writer.varint(set.count)
            for text in set.sorted() { writer.lengthPrefixed(text) }
        }
        writer.varint(versions.count)
        for (version, nanos) in versions.sorted(by: { $0.key < $1.key }) {
            writer.lengthPrefixed(version)
            writer.i64(nanos)
        }
        writer.varint(aliases.count)
        for alias in aliases.sorted() {
            writer.lengthPrefixed(alias.alias)
            writer.lengthPrefixed(alias.source)
            writer.lengthPrefixed(alias.rule)
        }
        writer.varint(buckets.count)
        for (number, bucket) in buckets.sorted(by: { $0.key < $1.key }) {
            writer.zigzag(number)
            writer.varint(bucket.logLineCount)
            writer.varint(bucket.errorLogLineCount)
            writer.i64(bucket.lastSeenNanos)
            writer.varint(bucket.operations.count)
            for (key, counts) in bucket.operations.sorted(by: { $0.key < $1.key }) {
                writer.lengthPrefixed(key.name)
                writer.u8(key.kind)
                writer.varint(counts.count)
                writer.varint(counts.errorCount)
                counts.durations.encode(into: &writer)
            }
        }
    }
}
