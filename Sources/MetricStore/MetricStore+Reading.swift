// SPDX-License-Identifier: Apache-2.0
// Answers to engines.

import Base
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    package func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> any SeriesSet {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        return try select(request, snapshot, context, isSorted: true)
    }

    package func coarseRanges(_ tenant: Tenant, _ range: MillisRange) -> [CoarseRange] {
        var resolutions: [Int64: Int64] = [:]
        for part in snapshot(tenant).parts where part.resolutionMillis > 0 && part.overlaps(range) {
            let day = utcDay(ofMillis: part.minMillis)
            resolutions[day] = max(resolutions[day] ?? 0, part.resolutionMillis)
        }
        var ranges: [CoarseRange] = []
        for (day, resolution) in resolutions.sorted(by: { $0.key < $1.key }) {
            let first = day &* MetricPartFormat.millisPerDay
            let last = Millis(first &+ MetricPartFormat.millisPerDay &- 1)
            if let known = ranges.last, known.resolutionMillis == resolution,
                known.range.last.rawValue == first &- 1
            {
                ranges[ranges.count - 1].range.last = last
            } else {
                ranges.append(
                    CoarseRange(
                        range: MillisRange(first: Millis(first), last: last),
                        resolutionMillis: resolution))
            }
        }
        return ranges
    }

    /// - Parameter isSorted: whether the set has to be sorted by labels.
    func select(
        _ request: SeriesRequest, _ snapshot: Snapshot, _ context: ReadContext, isSorted: Bool
    ) throws -> MergedSeriesSet {
        let parts = snapshot.parts.filter { $0.overlaps(request.range) }
        var builder = SeriesSetBuilder(sourceCount: parts.count + snapshot.heads.count, context)
        for part in parts {
            let found = try tolerating(part, context) {
                let index = try index(of: part)
                return (index: index, ids: try index.select(request.matchers, context))
            }
            guard let (index, ids) = found else { continue }
            let source = builder.addPart(part, index)
            for (number, series) in ids.ids.enumerated() {
                if number & 1023 == 1023 { try context.check() }
                guard part.hasSamples(Int(series), request.range, index) else { continue }
                builder.add(index.labels(Int(series)), part: source, series: series)
            }
            try builder.reserve()
        }
        for head in snapshot.heads {
            for shard in head.shards {
                // Out of the lock with copies: the merge below is none of the writers' business.
                builder.add(try shard.select(request, context))
                try builder.reserve()
            }
        }
        return try builder.finish(request.range, request.aggregate, isSorted: isSorted)
    }

    /// Runs what reads one part. Damage is noted in the context, and nil is the answer.
    @discardableResult
    func tolerating<R>(
        _ part: MetricPart, _ context: ReadContext, _ body: () throws -> R
    ) throws -> R? {
        do {
            return try body()
        } catch var fault as PartCorruption {
            if fault.name.isEmpty { fault.name = part.handle.reader.name }
            context.noteMissing(fault)
            return nil
        }
    }

    package func exemplars(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> [Exemplar] {
        let snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        var found: [Labels: [HeadExtras.Exemplar]] = [:]
        func add(_ labels: Labels, _ list: [HeadExtras.Exemplar]) {
            for one in list
            where request.range.overlaps(first: one.millis, last: one.millis)
                && !(found[labels]?.contains(one) ?? false)
            {
                found[labels, default: []].append(one)
            }
        }
        for part in snapshot.parts where part.overlaps(request.range) {
            try context.check()
            try tolerating(part, context) {
                let kept = try part.exemplars()
                if kept.isEmpty { return }
                let index = try index(of: part)
                let selected = Set(try index.select(request.matchers, context).ids)
                for (series, list) in kept where selected.contains(UInt32(series)) {
                    add(index.labels(series), list)
                }
            }
        }
        for head in snapshot.heads {
            try context.check()
            for shard in head.shards {
                let kept = try shard.state.withLock { state in
                    try state.select(request.matchers, context).ids.compactMap { ref in
                        let extras = state.series[Int(ref)].extras
                        return extras == .max || state.extras[Int(extras)].exemplars.isEmpty
                            ? nil
                            : (
                                Labels(canonical: state.labels.bytes(Int(ref))),
                                state.extras[Int(extras)].exemplars
                            )
                    }
                }
                for (labels, list) in kept { add(labels, list) }
            }
        }
        return found.sorted { $0.key < $1.key }.flatMap { labels, list in
            list.sorted { $0.millis < $1.millis }.map {
                Exemplar(
                    series: labels, labels: Labels(canonical: $0.labels), millis: $0.millis,
                    value: Double(bitPattern: $0.value))
            }
        }
    }

    package func metadata(
        _ tenant: Tenant, family: String?
    ) throws -> [(String, [MetricMetadata])] {
        let table = metadata(tenant)
        guard let family else { return table.sorted() }
        return table.families[family].map { [(family, $0)] } ?? []
    }
}

extension ShardState {
    func overlaps(_ range: MillisRange) -> Bool {
        minMillis <= maxMillis && range.overlaps(first: minMillis, last: maxMillis)
    }
}

extension HeadShard {
    /// Copies of the selected series that have samples around the range.
    fileprivate func select(
        _ request: SeriesRequest, _ context: ReadContext
    ) throws -> HeadSelection {
        try state.withLock { state in
            guard state.overlaps(request.range) else { return HeadSelection() }
            let ids = try state.select(request.matchers, context).ids
            return try HeadSelection(state, ids, request, context)
        }
    }
}
