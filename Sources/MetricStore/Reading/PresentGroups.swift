// SPDX-License-Identifier: Apache-2.0
// Series counted by what they have in common.

import Base
import Storage
import Telemetry

/// Groups of series, with how many have a value.
struct PresentGroups {
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

    /// Adds the present series of one index.
    ///
    /// - Parameter labels: appends what the names leave of a series' labels.
    mutating func add<Index: LabelIndex>(
        _ index: Index, _ present: PostingsBitmap, _ context: ReadContext,
        labels: (UInt32, inout [UInt8]) -> Void
    ) throws {
        var count = present.count
        try context.count(samples: count)
        if count == 0 { return }
        guard names.isEmpty || names.onlyName != nil else {
            present.forEach { series in
                scratch.removeAll(keepingCapacity: true)
                labels(series, &scratch)
                addScratch(1)
            }
            return
        }
        if let name = names.onlyName { count -= try add(index, name, present, context) }
        if count > 0 {
            scratch.removeAll(keepingCapacity: true)
            addScratch(count)
        }
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

    /// Adds to the groups of a label's values, and of those without it, one present series each,
    /// where that is all that is asked: the index says which series to look at, and the first that
    /// is present ends the search. Returns false where more is asked.
    mutating func addFirstFound<Index: LabelIndex>(
        _ index: Index, _ selected: Postings, _ context: ReadContext,
        _ newest: (UInt32) -> NewestSample?
    ) throws -> Bool {
        guard !isCounted, let name = names.onlyName else { return false }
        let wanted = PostingsBitmap(selected, limit: index.seriesCount)
        var asked = 0
        /// Whether the search goes on after a series.
        func isAbsent(_ series: UInt32) -> Bool {
            asked += 1
            return newest(series)?.isStale ?? true
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
        return true
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
