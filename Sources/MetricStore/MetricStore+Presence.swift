// SPDX-License-Identifier: Apache-2.0
// Which series have a value at one time.

import Base
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    /// Where one head or part alone has data of the range, which is the rule, series are told by
    /// their numbers: their labels are not made, and values are not decoded. Else series of several
    /// sources are put together first.
    package func present(
        _ request: SeriesRequest, by names: LabelNameSet, isCounted: Bool, _ context: ReadContext
    ) throws -> [PresentGroup] {
        var request = request
        request.samples = .newest
        var snapshot = snapshot(request.tenant)
        noteMissing(request.tenant, request.range, context)
        snapshot.parts.removeAll { !$0.overlaps(request.range) }
        snapshot.heads.removeAll { head in
            !head.shards.contains { $0.state.withLock { $0.overlaps(request.range) } }
        }
        var groups = PresentGroups(names, isCounted: isCounted)
        if snapshot.heads.isEmpty, snapshot.parts.count == 1 {
            try add(snapshot.parts[0], request, to: &groups, context)
        } else if snapshot.parts.isEmpty, snapshot.heads.count == 1 {
            for shard in snapshot.heads[0].shards {
                try add(shard, request, to: &groups, context)
            }
        } else {
            let set = try select(request, snapshot, context, isSorted: false)
            try groups.add(set, context)
        }
        return groups.sorted()
    }

    private func add(
        _ part: MetricPart, _ request: SeriesRequest, to groups: inout PresentGroups,
        _ context: ReadContext
    ) throws {
        var builder = SeriesSetBuilder(sourceCount: 1, context)
        try tolerating(part, context) {
            let index = try index(of: part)
            let cache = TimeColumnCache()
            let labels = index.projection(groups.names)
            let rest = try groups.add(index, request.matchers, context, labels: labels) { series in
                do throws(PartCorruption) {
                    return try part.newest(Int(series), request.range, index, cache, source: 0)
                } catch {
                    // Reading all says what is damaged and goes on with the rest.
                    return .unknown
                }
            }
            if rest.isEmpty { return }
            let source = builder.addPart(part, index)
            for series in rest where part.hasSamples(Int(series), request.range, index) {
                builder.add(
                    Labels(canonical: index.labels(Int(series))), part: source, series: series)
            }
        }
        try builder.reserve()
        try groups.add(try builder.finish(request.range, isSorted: false), context)
    }

    private func add(
        _ shard: HeadShard, _ request: SeriesRequest, to groups: inout PresentGroups,
        _ context: ReadContext
    ) throws {
        let rest = try shard.state.withLock { state in
            guard state.overlaps(request.range) else { return HeadSelection() }
            let names = groups.names
            // Taken out, because closures over the state copy all of it at each call.
            let labels = state.labels
            let extras = state.extras
            let rest = try state.series.withUnsafeBufferPointer { series in
                try groups.add(
                    state, request.matchers, context,
                    labels: { ref, out in
                        labels.withBytes(Int(ref)) { names.apply($0, appendingTo: &out) }
                    }
                ) { series[Int($0)].newest(request.range, among: extras) }
            }
            return try HeadSelection(state, rest, request, context)
        }
        if rest.labels.isEmpty { return }
        var builder = SeriesSetBuilder(sourceCount: 1, context)
        builder.add(rest)
        try builder.reserve()
        try groups.add(try builder.finish(request.range, isSorted: false), context)
    }
}

/// Groups of series, with how many have a value.
private struct PresentGroups {
    let names: LabelNameSet
    private let isCounted: Bool
    /// Canonical labels of the groups.
    private var keys = InternTable()
    private var counts: [Int] = []
    private var scratch: [UInt8] = []

    init(_ names: LabelNameSet, isCounted: Bool) {
        self.names = names
        self.isCounted = isCounted
    }

    func sorted() -> [PresentGroup] {
        counts.indices.map {
            PresentGroup(
                labels: Labels(canonical: keys.bytes($0), hash: keys.hash($0)), count: counts[$0])
        }.sorted { $0.labels < $1.labels }
    }

    /// Adds series to the group whose labels are in `scratch`.
    private mutating func addScratch(_ count: Int) {
        let group = scratch.withUnsafeBytes { keys.intern($0) }
        if group == counts.count { counts.append(0) }
        counts[group] += count
    }

    mutating func add(_ set: MergedSeriesSet, _ context: ReadContext) throws {
        var columns = SampleColumns()
        var found = 0
        for index in 0..<set.count {
            if index & 1023 == 1023 { try context.check() }
            guard try set.isPresent(index, &columns, context) else { continue }
            found += 1
            scratch.removeAll(keepingCapacity: true)
            set.labels(index).bytes.withUnsafeBytes { names.apply($0, appendingTo: &scratch) }
            addScratch(1)
        }
        try context.count(samples: found)
    }

    /// Adds the series of one index.
    ///
    /// - Parameters:
    ///   - labels: appends what the names leave of a series' labels.
    ///   - newest: of a series in the range.
    /// - Returns: series whose newest sample is unknown; they are not added.
    mutating func add<Index: LabelIndex>(
        _ index: Index, _ matchers: [LabelMatcher], _ context: ReadContext,
        labels: (UInt32, inout [UInt8]) -> Void, newest: (UInt32) -> NewestSample
    ) throws -> [UInt32] {
        let selected = try index.select(matchers, context)
        if !isCounted, let name = names.onlyName {
            return try addAny(index, name, selected, context, newest)
        }
        let ids = selected.ids
        var unknown: [UInt32] = []
        var present = PostingsBitmap(limit: index.seriesCount)
        var count = 0
        for (position, series) in ids.enumerated() {
            if position & 1023 == 1023 { try context.check() }
            switch newest(series) {
            case .absent, .known(_, isStale: true): break
            case .known:
                present.insert(series)
                count += 1
            case .unknown: unknown.append(series)
            }
        }
        try context.count(samples: count)
        if count == 0 { return unknown }
        guard names.isEmpty || names.onlyName != nil else {
            present.forEach { series in
                scratch.removeAll(keepingCapacity: true)
                labels(series, &scratch)
                addScratch(1)
            }
            return unknown
        }
        if let name = names.onlyName {
            count -= try add(index, name, present, context)
        }
        if count > 0 {
            scratch.removeAll(keepingCapacity: true)
            addScratch(count)
        }
        return unknown
    }

    /// Adds the present series that have a label to the groups of its values, value by value.
    /// Returns how many there are.
    private mutating func add<Index: LabelIndex>(
        _ index: Index, _ name: [UInt8], _ present: PostingsBitmap,
        _ context: ReadContext
    ) throws -> Int {
        guard let number = name.withUnsafeBytes({ index.findName($0) }) else { return 0 }
        var total = 0
        for value in 0..<index.valueCount(number) {
            if value & 1023 == 1023 { try context.check() }
            var count = 0
            try index.forEachSeries(number, value) { series in
                count &+= present.contains(series) ? 1 : 0
                return true
            }
            if count == 0 { continue }
            total += count
            index.withValue(number, value) { setScratch(name, $0) }
            addScratch(count)
        }
        return total
    }

    /// Adds to the groups of a label's values, and of those without it, one present series each:
    /// the index says which to ask, and the first that is present ends the search.
    private mutating func addAny<Index: LabelIndex>(
        _ index: Index, _ name: [UInt8], _ selected: Postings, _ context: ReadContext,
        _ newest: (UInt32) -> NewestSample
    ) throws -> [UInt32] {
        var unknown: [UInt32] = []
        let wanted = PostingsBitmap(selected, limit: index.seriesCount)
        var asked = 0
        /// Whether the search goes on after a series.
        func isAbsent(_ series: UInt32) -> Bool {
            asked += 1
            switch newest(series) {
            case .absent, .known(_, isStale: true): return true
            case .known: return false
            case .unknown:
                unknown.append(series)
                return true
            }
        }
        var named = 0
        if let number = name.withUnsafeBytes({ index.findName($0) }) {
            for value in 0..<index.valueCount(number) {
                if value & 255 == 255 { try context.check() }
                named += index.postingCount(number, value)
                index.withValue(number, value) { setScratch(name, $0) }
                if isScratchKnown { continue }
                let isNone = try index.forEachSeries(number, value) { series in
                    !wanted.contains(series) || isAbsent(series)
                }
                if !isNone { addScratch(1) }
            }
        }
        scratch.removeAll(keepingCapacity: true)
        if named < index.seriesCount, !isScratchKnown {
            let others = selected.subtracting(try index.seriesWith(name, context))
            if !others.ids.allSatisfy(isAbsent) { addScratch(1) }
        }
        try context.count(samples: asked)
        return unknown
    }

    private var isScratchKnown: Bool {
        scratch.withUnsafeBytes { keys.find($0) } != nil
    }

    /// Makes `scratch` the labels of one name and value.
    private mutating func setScratch(_ name: [UInt8], _ value: UnsafeRawBufferPointer) {
        var writer = ByteWriter()
        writer.lengthPrefixed(name)
        writer.lengthPrefixed(value)
        scratch = writer.bytes
    }
}
