// SPDX-License-Identifier: Apache-2.0
// What ingest adds to log lines: service, level, trace.

import Base
import Telemetry

/// Adds to a batch what readers expect and senders leave out: the stream label `service_name`, the
/// structured metadata `detected_level`, and the trace and span ids in their columns.
///
/// What a line already has is kept: a `detected_level` is only brought to its usual spelling, ids
/// of the columns stay. Old label and metadata bytes stay behind in the arena. O(bytes).
package struct LogEnrichment: Sendable {
    package var discoversService = true
    /// Labels that name a service, best first.
    package var serviceSources = ServiceName.defaultSources
    package var detectsLevel = true
    package var liftsTraceContext = true
    package var levels = LevelDetection()

    package init() {}

    package func apply(to batch: inout LogBatch) {
        if discoversService { addServiceNames(&batch) }
        // Metadata is searched for ids before every row has some.
        if liftsTraceContext { liftTraceContext(&batch) }
        if detectsLevel { addLevels(&batch) }
    }

    private static let levelName: StaticString = "detected_level"

    // MARK: service

    private func addServiceNames(_ batch: inout LogBatch) {
        var builder = LabelsBuilder()
        for index in batch.streams.indices {
            builder.reset()
            let isMissing = batch.arena.withSlice(batch.streams[index].slice) { labels in
                guard let value = ServiceName.discover(labels, sources: serviceSources)
                else { return false }
                forEachLabel(in: labels) { builder.append($0, $1) }
                builder.append(ServiceName.label.bytes, value)
                return true
            }
            guard isMissing else { continue }
            let start = batch.arena.count
            builder.encode(into: &batch.arena)
            let slice = ByteSlice(offset: start, count: batch.arena.count - start)
            batch.streams[index] = LabelsRef(
                slice: slice, hash: batch.arena.withSlice(slice) { hash64($0) })
        }
    }

    // MARK: level

    private func addLevels(_ batch: inout LogBatch) {
        // The label bytes `detected_level=…` on their own: all that most rows get.
        var alone = [ByteSlice?](repeating: nil, count: LogLevel.allCases.count)
        var streamLevels = [ByteSlice?](repeating: nil, count: batch.streams.count)
        var hasStreamLevel = [Bool](repeating: false, count: batch.streams.count)
        for stream in batch.streams.indices {
            let pair = batch.arena.withSlice(batch.streams[stream].slice) { labels in
                levels.level(ofLabels: labels).map { LogEnrichment.pair($0.bytes) }
            }
            guard let pair else { continue }
            hasStreamLevel[stream] = true
            streamLevels[stream] = pair.withUnsafeBytes { batch.arena.keep($0) }
        }
        var scratch: [UInt8] = []
        for row in 0..<batch.rowCount {
            let metadata = batch.metadata[row]
            let stream = Int(batch.rowStreams[row])
            if metadata.isEmpty, !hasStreamLevel[stream] {
                // Most rows: the line tells, and others have told the same.
                let level = batch.arena.withSlice(batch.lines[row]) { levels.level(ofLine: $0) }
                batch.metadata[row] = kept(level, &alone, &batch)
                continue
            }
            if !metadata.isEmpty, normalise(&batch, row, &scratch) { continue }
            let slice: ByteSlice
            if hasStreamLevel[stream], let level = streamLevels[stream] {
                slice = level
            } else if let level = rowLevel(batch, row) {
                slice = kept(level, &alone, &batch)
            } else {
                // A value of the sender's own, kept as it is.
                let pair = batch.arena.withSlice(metadata) { bytes in
                    LogEnrichment.pair(
                        levels.level(ofMetadata: bytes)?.bytes ?? LogLevel.unknown.text.bytes)
                }
                slice = pair.withUnsafeBytes { batch.arena.keep($0) }
            }
            batch.metadata[row] =
                metadata.isEmpty ? slice : merged(&batch, slice, metadata, &scratch)
        }
    }

    /// The label of a level in the arena, put there once.
    private func kept(
        _ level: LogLevel, _ alone: inout [ByteSlice?], _ batch: inout LogBatch
    ) -> ByteSlice {
        if let kept = alone[Int(level.rawValue)] { return kept }
        let slice = LogEnrichment.pair(level.text.bytes).withUnsafeBytes { batch.arena.keep($0) }
        alone[Int(level.rawValue)] = slice
        return slice
    }

    /// One label in canonical bytes.
    private static func pair(_ value: UnsafeRawBufferPointer) -> [UInt8] {
        var writer = ByteWriter(reserving: value.count + levelName.utf8CodeUnitCount + 6)
        if value.isEmpty { return writer.bytes }
        writer.lengthPrefixed(levelName.bytes)
        writer.lengthPrefixed(value)
        return writer.bytes
    }

    /// Level of a row by its metadata or its line; nil when the metadata has a value that is none
    /// of ours.
    private func rowLevel(_ batch: LogBatch, _ row: Int) -> LogLevel? {
        let found = batch.arena.withSlice(batch.metadata[row]) { bytes -> LogLevel?? in
            switch levels.level(ofMetadata: bytes) {
            case .level(let level)?: .some(.some(level))
            case .other?: .some(.none)
            case nil: .none
            }
        }
        if let found { return found }
        return batch.arena.withSlice(batch.lines[row]) { levels.level(ofLine: $0) }
    }

    /// Whether the row has a `detected_level`, which is then spelled as usual.
    private func normalise(
        _ batch: inout LogBatch, _ row: Int, _ scratch: inout [UInt8]
    ) -> Bool {
        let metadata = batch.metadata[row]
        let pair = batch.arena.withSlice(metadata) { bytes -> [UInt8]? in
            guard let value = labelValue(of: LogEnrichment.levelName.bytes, in: bytes) else {
                return nil
            }
            guard let level = LogLevel(named: value), !equalBytes(level.text.bytes, value) else {
                return []
            }
            return LogEnrichment.pair(level.text.bytes)
        }
        guard let pair else { return false }
        if !pair.isEmpty {
            let slice = pair.withUnsafeBytes { batch.arena.keep($0) }
            batch.metadata[row] = merged(&batch, slice, metadata, &scratch)
        }
        return true
    }

    /// The union of two label sets of the arena, at its end.
    private func merged(
        _ batch: inout LogBatch, _ first: ByteSlice, _ second: ByteSlice, _ scratch: inout [UInt8]
    ) -> ByteSlice {
        scratch.removeAll(keepingCapacity: true)
        batch.arena.withUnsafeBytes { arena in
            appendMergedLabels(
                UnsafeRawBufferPointer(rebasing: arena[first.range]),
                UnsafeRawBufferPointer(rebasing: arena[second.range]), to: &scratch)
        }
        return scratch.withUnsafeBytes { batch.arena.keep($0) }
    }

    // MARK: trace

    private func liftTraceContext(_ batch: inout LogBatch) {
        // Taken out of the batch, whose arena is borrowed meanwhile.
        var traceIDs: [TraceID] = []
        var spanIDs: [SpanID] = []
        swap(&traceIDs, &batch.traceIDs)
        swap(&spanIDs, &batch.spanIDs)
        batch.arena.withUnsafeBytes { arena in
            func bytes(_ slice: ByteSlice) -> UnsafeRawBufferPointer {
                UnsafeRawBufferPointer(rebasing: arena[slice.range])
            }
            let streamContexts = batch.streams.map {
                TraceContextScan.context(inLabels: bytes($0.slice))
            }
            for row in traceIDs.indices where traceIDs[row].isZero {
                let metadata = batch.metadata[row]
                var found: TraceContext?
                if !metadata.isEmpty {
                    found = TraceContextScan.context(inLabels: bytes(metadata))
                }
                found =
                    found ?? streamContexts[Int(batch.rowStreams[row])]
                    ?? TraceContextScan.context(inLine: bytes(batch.lines[row]))
                guard let found else { continue }
                traceIDs[row] = found.traceID
                if spanIDs[row].isZero { spanIDs[row] = found.spanID }
            }
        }
        swap(&traceIDs, &batch.traceIDs)
        swap(&spanIDs, &batch.spanIDs)
    }
}
