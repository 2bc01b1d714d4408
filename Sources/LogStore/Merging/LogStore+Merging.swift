// SPDX-License-Identifier: Apache-2.0
// Parts into larger parts.

import Base
import Storage
import Telemetry

extension LogStore {
    package var maxMergedBytes: Int { configuration.mergedBytes }

    /// A part keeps each trace and span id once as long as a table of them can hold them all: parts
    /// that together have more stay apart, since what goes beyond takes 24 bytes a row.
    package var maxMergeWeight: Int { TraceTable.maxIDs }

    package func merge(
        _ parts: [PartHandle], shouldStop: () -> Bool
    ) throws -> [PartDraft] {
        guard let first = parts.first?.descriptor else { return [] }
        let ordered = try parts.sorted { PartDescriptor.isOlder($0.descriptor, $1.descriptor) }
            .map { try LogPart($0, configuration.deletionLanguage) }
        var builder = ReadPlan.Builder()
        for part in ordered {
            try builder.add(part, streams: Array(part.index.streams.indices), range: .all)
        }
        let merge = PartMerge(
            builder.plan(), ordered, configuration, retentionClasses(of: Tenant(first.tenant)))
        let (drafts, removed) = try merge.run(tenant: first.tenant) {
            if shouldStop() { throw CancellationError() }
        }
        removals.note(removed, mergeOf: ordered.map(\.descriptor.id))
        // The kernel merges parts of one day.
        guard Set(drafts.map(\.day)).count <= 1 else {
            throw PartCorruption(
                name: ordered[0].reader.name, offset: 0,
                problem: "parts to merge hold rows of several days")
        }
        return drafts
    }
}

/// One merge of parts: blocks that are alone in their time go over as they are, the rows of all
/// others are put in order and into blocks anew.
private struct PartMerge {
    private let plan: ReadPlan
    private let parts: [LogPart]
    private let carry: CarryPlan
    private let configuration: LogStoreConfiguration
    private let classOf: (Labels) -> UInt8
    private let isDense: Bool

    init(
        _ plan: ReadPlan, _ parts: [LogPart], _ configuration: LogStoreConfiguration,
        _ classOf: @escaping (Labels) -> UInt8
    ) {
        self.plan = plan
        self.parts = parts
        self.configuration = configuration
        self.classOf = classOf
        carry = CarryPlan(
            plan, parts, leastBytes: configuration.carriedBlockBytes, classOf: classOf)
        let byteCount = parts.reduce(0) { $0 + $1.reader.bytes.count }
        isDense = byteCount >= configuration.denseMergeBytes
    }

    /// - Parameter checkpoint: called before each block; what it throws ends the merge.
    func run(
        tenant: String, checkpoint: () throws -> Void
    ) throws -> (drafts: [PartDraft], removed: [String: LogRemoval]) {
        var sink = PartSink(
            plan.streams, configuration,
            level: isDense ? configuration.mergeLevel : configuration.sealLevel, classOf)
        // Frames are read once and in order, so they would only displace what queries use; but
        // neighbouring blocks share them.
        let cache = FrameCache(limitBytes: 16 << 20)
        var merge = RowMerge(
            plan, range: .all, filter: .none, cache: cache, isDescending: false, ReadContext(),
            damaged: .fail)
        for stream in plan.streams.indices {
            // What does not go over lies between what does, since that shares no moment with it.
            var rest: [Int] = []
            for number in ascending(plan.pieces(of: stream)) {
                let piece = plan.pieces[number]
                guard carry.carries(piece), case .block(let part, let block) = piece.origin else {
                    rest.append(number)
                    continue
                }
                _ = try merge.run(rest, into: &sink, checkpoint: checkpoint)
                rest = []
                try checkpoint()
                try sink.carry(
                    block, of: part, source: piece.source, stream: stream, cache,
                    recompresses: isDense && !wasDense(part))
            }
            _ = try merge.run(rest, into: &sink, checkpoint: checkpoint)
        }
        try sink.carryWords()
        return (sink.finish(tenant: tenant), merge.removed)
    }

    private func ascending(_ pieces: Range<Int>) -> [Int] {
        pieces.sorted {
            (plan.pieces[$0].minNanos, plan.pieces[$0].rank)
                < (plan.pieces[$1].minNanos, plan.pieces[$1].rank)
        }
    }

    /// Whether a part is the outcome of a merge that compressed as this one does. It is not known of
    /// parts that lost much by deletion; compressing those anew only takes time.
    private func wasDense(_ part: LogPart) -> Bool {
        part.descriptor.level > 0 && part.reader.bytes.count >= configuration.denseMergeBytes
    }
}
