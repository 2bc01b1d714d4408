// SPDX-License-Identifier: Apache-2.0
// Which series have a value at one time.

import Base
import Storage
import Synchronization
import Telemetry

extension MetricStore {
    /// Series are told by their numbers: labels are not made, values are not decoded beyond what
    /// tells a stale marker. Series of several parts and a head find each other by the hashes of
    /// their labels; of two heads, which is so while one is sealed, their sets are put together.
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
        if snapshot.heads.count > 1 {
            let set = try select(request, snapshot, context, isSorted: false)
            try groups.add(set, context)
            return groups.sorted()
        }
        var parts = PresentInParts(isAlone: snapshot.parts.count + snapshot.heads.count == 1)
        for part in snapshot.parts {
            try tolerating(part, context) {
                try parts.add(part, try index(of: part), request, &groups, context)
            }
        }
        for shard in snapshot.heads.first?.shards ?? [] {
            try shard.state.withLock { state in
                if state.overlaps(request.range) {
                    try PresentInParts.add(state, request, &parts, &groups, context)
                }
            }
        }
        for part in parts.parts {
            try tolerating(part.part, context) {
                try groups.add(
                    part.index, part.present, context,
                    labels: part.index.projection(groups.names))
            }
        }
        return groups.sorted()
    }
}

/// Which series of parts are present so far. Of a series in several sources, the newest sample
/// decides; of equal times that of the older source.
private struct PresentInParts {
    struct Part {
        let part: MetricPart
        let index: PartIndex
        var present: PostingsBitmap
    }
    /// The newest sample of a series so far.
    private struct Item {
        var part: Int32
        var series: UInt32
        var millis: Int64
    }
    private(set) var parts: [Part] = []
    private var items: [Item] = []
    /// Items by the hash of their series' labels, −1 = free; a power of two.
    private var slots: [Int32]
    private let isAlone: Bool

    /// - Parameter isAlone: there is one source only.
    init(isAlone: Bool) {
        self.isAlone = isAlone
        slots = isAlone ? [] : [Int32](repeating: -1, count: 1024)
    }

    /// Adds the selected series of a part that is younger than those before.
    mutating func add(
        _ part: MetricPart, _ index: PartIndex, _ request: SeriesRequest,
        _ groups: inout PresentGroups, _ context: ReadContext
    ) throws {
        let cache = TimeColumnCache()
        func newest(_ series: UInt32) -> NewestSample? {
            part.newest(
                Int(series), request.range, index, cache, source: 0,
                skipping: context.noteMissing)
        }
        let selected = try index.select(request.matchers, context)
        if isAlone, try groups.addFirstFound(index, selected, context, newest) { return }
        let number = Int32(parts.count)
        parts.append(
            Part(
                part: part, index: index, present: PostingsBitmap(limit: index.seriesCount)))
        for (position, series) in selected.ids.enumerated() {
            if position & 1023 == 1023 { try context.check() }
            guard let sample = newest(series) else { continue }
            if isAlone {
                if !sample.isStale { parts[Int(number)].present.insert(series) }
                continue
            }
            if items.count * 2 >= slots.count { grow() }
            let slot = slot(index.hash(Int(series))) { other in
                index.labels(Int(series)).bytes.withUnsafeBytes { labels in
                    parts[Int(other.part)].index.hasLabels(Int(other.series), labels)
                }
            }
            if slots[slot] >= 0 {
                guard replace(Int(slots[slot]), sample) else { continue }
                items[Int(slots[slot])].part = number
                items[Int(slots[slot])].series = series
            } else {
                slots[slot] = Int32(items.count)
                items.append(Item(part: number, series: series, millis: sample.millis))
            }
            if !sample.isStale { parts[Int(number)].present.insert(series) }
        }
    }

    /// Adds the selected series of a head shard, which is younger than all parts.
    static func add(
        _ state: borrowing ShardState, _ request: SeriesRequest, _ known: inout PresentInParts,
        _ groups: inout PresentGroups, _ context: ReadContext
    ) throws {
        // Taken out, because closures over the state copy all of it at each call.
        let labels = state.labels
        let extras = state.extras
        let range = request.range
        let selected = try state.select(request.matchers, context)
        let names = groups.names
        try state.series.withUnsafeBufferPointer { series in
            if known.isAlone,
                try groups.addFirstFound(
                    copy state, selected, context,
                    { series[Int($0)].newest(range, among: extras) })
            {
                return
            }
            var present = PostingsBitmap(limit: series.count)
            for (position, ref) in selected.ids.enumerated() {
                if position & 1023 == 1023 { try context.check() }
                guard let sample = series[Int(ref)].newest(range, among: extras),
                    known.isAlone || known.isNewest(sample, labels, Int(ref))
                else { continue }
                if !sample.isStale { present.insert(ref) }
            }
            try groups.add(copy state, present, context) { ref, out in
                labels.withBytes(Int(ref)) { names.apply($0, appendingTo: &out) }
            }
        }
    }

    /// Whether a sample of the head is the newest of its series; then no part's is any more.
    private mutating func isNewest(
        _ sample: NewestSample, _ labels: InternTable, _ ref: Int
    ) -> Bool {
        if items.isEmpty { return true }
        let slot = slot(labels.hash(ref)) { item in
            labels.withBytes(ref) { parts[Int(item.part)].index.hasLabels(Int(item.series), $0) }
        }
        return slots[slot] < 0 || replace(Int(slots[slot]), sample)
    }

    /// Takes an item back if a sample is newer.
    private mutating func replace(_ number: Int, _ sample: NewestSample) -> Bool {
        let item = items[number]
        guard sample.millis > item.millis else { return false }
        parts[Int(item.part)].present.remove(item.series)
        items[number].millis = sample.millis
        return true
    }

    /// The slot of the item of these labels, or the free one where it belongs.
    @inline(__always)
    private func slot(_ hash: UInt64, _ isSame: (Item) -> Bool) -> Int {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] >= 0 {
            let item = items[Int(slots[slot])]
            if self.hash(item) == hash, isSame(item) { break }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private func hash(_ item: Item) -> UInt64 {
        parts[Int(item.part)].index.hash(Int(item.series))
    }

    private mutating func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        let mask = slots.count - 1
        for (number, item) in items.enumerated() {
            var slot = Int(truncatingIfNeeded: hash(item)) & mask
            while slots[slot] >= 0 { slot = (slot + 1) & mask }
            slots[slot] = Int32(truncatingIfNeeded: number)
        }
    }
}
