// SPDX-License-Identifier: Apache-2.0
// Heads into parts, parts into larger parts.

import Base
import Storage
import Telemetry

extension LogStore {
    package func seal(generation: UInt64) throws -> [PartDraft] {
        var drafts: [PartDraft] = []
        for head in tenantHeads(generation) {
            var builder = ReadPlan.Builder()
            builder.add(head.views([], .all), range: .all)
            let plan = builder.plan()
            var sink = PartSink(plan.streams, configuration, level: configuration.sealLevel) {
                self.configuration.retentionClass(head.tenant, $0)
            }
            try merge(plan, into: &sink, checkpoint: {})
            drafts += sink.finish(tenant: head.tenant.name)
        }
        return drafts
    }

    package func merge(
        _ parts: [PartHandle], shouldStop: () -> Bool
    ) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        let ordered = parts.sorted { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
        var builder = ReadPlan.Builder()
        for handle in ordered {
            let part = try LogPart(handle)
            try builder.add(part, streams: Array(part.index.streams.indices), range: .all)
        }
        let plan = builder.plan()
        let byteCount = ordered.reduce(0) { $0 + $1.reader.bytes.count }
        let level =
            byteCount >= configuration.denseMergeBytes
            ? configuration.mergeLevel : configuration.sealLevel
        var sink = PartSink(plan.streams, configuration, level: level) { _ in
            first.retentionClass
        }
        try merge(plan, into: &sink) { if shouldStop() { throw CancellationError() } }
        let drafts = sink.finish(tenant: first.tenant)
        // The kernel merges parts of one day, so the rows of all make one part.
        guard drafts.count <= 1 else {
            throw PartCorruption(
                name: ordered[0].reader.name, offset: 0,
                problem: "parts to merge hold rows of \(drafts.count) days")
        }
        return drafts
    }

    /// Runs all streams of a plan through the sink, one after the other.
    private func merge(
        _ plan: ReadPlan, into sink: inout PartSink, checkpoint: () throws -> Void
    ) throws {
        // Frames are read once and in order, so they would only displace what queries use; but
        // neighbouring blocks share them.
        let cache = FrameCache(limitBytes: 16 << 20)
        var merge = RowMerge(
            plan, range: .all, filter: .none, cache: cache, isDescending: false, ReadContext(),
            damaged: .fail)
        for pieces in plan.byStream {
            _ = try merge.run(pieces, into: &sink, checkpoint: checkpoint)
        }
    }

    package func verify(_ part: PartHandle) -> [PartCorruption] {
        var faults = part.reader.verify()
        let opened: LogPart
        do throws(PartCorruption) {
            opened = try LogPart(part)
        } catch {
            return faults.contains(error) ? faults : faults + [error]
        }
        if !opened.index.postingsAgree,
            let section = part.reader.section(
                LogFormat.Section.postings)
        {
            faults.append(
                PartCorruption(
                    name: part.reader.name, offset: section.offset,
                    problem: "postings are not those of the streams"))
        }
        let cache = FrameCache(limitBytes: 16 << 20)
        do {
            try opened.checkSearchIndex(cache)
        } catch let error as PartCorruption {
            if !faults.contains(error) { faults.append(error) }
        } catch {
            faults.append(
                PartCorruption(name: part.reader.name, offset: 0, problem: "\(error)"))
        }
        for number in opened.blocks.indices {
            do {
                _ = try DecodedRows.decode(
                    number, of: opened, range: .all, filter: .none, cache: cache, ReadContext())
            } catch let error as PartCorruption {
                if !faults.contains(error) { faults.append(error) }
            } catch {
                faults.append(
                    PartCorruption(name: part.reader.name, offset: 0, problem: "\(error)"))
            }
        }
        return faults
    }
}

/// Distributes merged rows to the parts of their day and retention class.
struct PartSink: RowSink {
    private struct Key: Hashable, Comparable {
        var day: Int32
        var retentionClass: UInt8
        static func < (a: Key, b: Key) -> Bool {
            (a.day, a.retentionClass) < (b.day, b.retentionClass)
        }
    }
    private let streams: [Labels]
    private let configuration: LogStoreConfiguration
    private let level: Int32
    private let classOf: (Labels) -> UInt8
    private var builders: [LogPartBuilder] = []
    private var numbers: [Key: Int] = [:]
    private var current = -1
    private var retentionClass: UInt8 = 0
    private var metadata: [UInt8] = []

    init(
        _ streams: [Labels], _ configuration: LogStoreConfiguration, level: Int32,
        _ retentionClass: @escaping (Labels) -> UInt8
    ) {
        self.streams = streams
        self.configuration = configuration
        self.level = level
        classOf = retentionClass
    }

    mutating func take(_ rows: DecodedRows, _ positions: Range<Int>, stream: Int) -> Bool {
        if stream != current {
            current = stream
            retentionClass = classOf(streams[stream])
        }
        var day: Int32?
        var number = 0
        for position in positions {
            let row = Int(rows.selection[position])
            let rowDay = utcDay(ofNanos: rows.nanos[row])
            if rowDay != day {
                day = rowDay
                number = builder(Key(day: rowDay, retentionClass: retentionClass))
                builders[number].begin(streams[stream])
            }
            metadata.removeAll(keepingCapacity: true)
            rows.appendMetadata(row, into: &metadata)
            metadata.withUnsafeBytes {
                builders[number].append(
                    nanos: rows.nanos[row], line: rows.line(row), metadata: $0,
                    ids: rows.rowIDs(row))
            }
        }
        return true
    }

    private mutating func builder(_ key: Key) -> Int {
        if let known = numbers[key] { return known }
        builders.append(
            LogPartBuilder(
                level: level, blockBytes: configuration.blockBytes,
                blockRows: configuration.blockRows,
                lineFrameBytes: configuration.lineFrameBytes))
        numbers[key] = builders.count - 1
        return builders.count - 1
    }

    /// The parts, by day and retention class.
    mutating func finish(tenant: String) -> [PartDraft] {
        var drafts: [PartDraft] = []
        for (key, number) in numbers.sorted(by: { $0.key < $1.key }) {
            let draft = builders[number].finish(
                tenant: tenant, day: key.day, retentionClass: key.retentionClass)
            if let draft { drafts.append(draft) }
        }
        return drafts
    }
}
