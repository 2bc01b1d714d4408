// SPDX-License-Identifier: Apache-2.0
// Which traces a service shows first.

import Base
import Telemetry

/// What a service had to do with one trace.
struct TracePick: Sendable, Equatable {
    /// Start of its first span.
    var startNanos: Int64
    /// Duration of its longest span.
    var durationNanos: Int64
    var isError: Bool

    mutating func merge(_ other: TracePick) {
        startNanos = min(startNanos, other.startNanos)
        durationNanos = max(durationNanos, other.durationNanos)
        isError = isError || other.isError
    }
}

/// Traces of one service and five minutes: at least the newest, the newest failed and the slowest
/// `kept`, and never more than `most`. So the newest, failed and slowest traces of a longer stretch
/// are among those of its five minutes, and nothing need be searched.
///
/// Which ones are kept beyond that depends on the order of arrival until `trim`, which is called
/// before they are written.
struct TracePicks: Sendable, Equatable {
    /// Of each kind.
    static let kept = 20
    /// So many are held before the least worthy are let go.
    static let most = 256

    struct Entry: Sendable, Equatable {
        var id: TraceID
        var pick: TracePick
    }
    /// A trace may be here several times until `trim`.
    private(set) var entries: [Entry] = []
    /// Whether any have been let go.
    private(set) var isCut = false
    /// What the least of each kind has, once there are `kept` of it: what has less is not wanted.
    private var newest = Int64.min
    private var newestFailed = Int64.min
    private var slowest = Int64.min

    /// Amortised O(1), mostly without a look-up.
    @inline(__always)
    mutating func add(_ id: TraceID, _ pick: TracePick) {
        if pick.startNanos < newest, pick.durationNanos < slowest,
            !pick.isError || pick.startNanos < newestFailed
        {
            isCut = true
            return
        }
        if let last = entries.indices.last, entries[last].id == id {
            entries[last].pick.merge(pick)
            return
        }
        entries.append(Entry(id: id, pick: pick))
        if entries.count >= TracePicks.most { letGo() }
    }

    mutating func merge(_ other: TracePicks) {
        for entry in other.entries { add(entry.id, entry.pick) }
        isCut = isCut || other.isCut
    }

    /// For decoders.
    mutating func markCut() { isCut = true }

    /// Leaves the newest, the newest failed and the slowest, each once, by id. O(n).
    mutating func trim() {
        letGo()
        entries.sort { $0.id < $1.id }
    }

    /// Leaves them in order of appearance.
    private mutating func letGo() {
        var all = TracePicks.unique(entries)
        if all.count > TracePicks.kept {
            let recent = TracePicks.first(of: all, where: { _ in true }, \.pick.startNanos)
            let errors = TracePicks.first(of: all, where: \.pick.isError, \.pick.startNanos)
            let slow = TracePicks.first(of: all, where: { _ in true }, \.pick.durationNanos)
            newest = recent.last.map { all[$0].pick.startNanos } ?? .min
            slowest = slow.last.map { all[$0].pick.durationNanos } ?? .min
            if errors.count == TracePicks.kept {
                newestFailed = errors.last.map { all[$0].pick.startNanos } ?? .min
            }
            var isKept = [Bool](repeating: false, count: all.count)
            for place in recent { isKept[place] = true }
            for place in errors { isKept[place] = true }
            for place in slow { isKept[place] = true }
            let before = all.count
            var place = 0
            all.removeAll { _ in
                defer { place += 1 }
                return !isKept[place]
            }
            if all.count < before { isCut = true }
        }
        entries = all
    }

    /// Each trace once, in order of appearance.
    private static func unique(_ entries: [Entry]) -> [Entry] {
        var result: [Entry] = []
        result.reserveCapacity(most)
        let mask = most * 4 - 1
        // Number of the entry + 1; there are never more than `most`.
        var slots = [UInt16](repeating: 0, count: mask + 1)
        for entry in entries {
            // Either half may be zero in short ids; the lower one is always random.
            var slot = Int(truncatingIfNeeded: entry.id.low ^ entry.id.low &>> 32) & mask
            while slots[slot] != 0, result[Int(slots[slot]) - 1].id != entry.id {
                slot = (slot + 1) & mask
            }
            if slots[slot] == 0 {
                result.append(entry)
                slots[slot] = UInt16(truncatingIfNeeded: result.count)
            } else {
                result[Int(slots[slot]) - 1].pick.merge(entry.pick)
            }
        }
        return result
    }

    /// Places of the `kept` with the greatest values, greatest first; of equal ones that with the
    /// greater id. O(n): those that came last are looked at first and are mostly the newest.
    @inline(__always)
    private static func first(
        of all: [Entry], where isWanted: (Entry) -> Bool, _ value: (Entry) -> Int64
    ) -> [Int] {
        var found: [Int] = []
        found.reserveCapacity(kept + 1)
        var least = Int64.min
        for place in all.indices.reversed() where isWanted(all[place]) {
            let own = value(all[place])
            if found.count == kept {
                if own < least { continue }
                if let last = found.last, own == least, all[place].id < all[last].id { continue }
                found.removeLast()
            }
            var index = found.count
            while index > 0 {
                let other = value(all[found[index - 1]])
                if other > own || other == own && all[place].id < all[found[index - 1]].id {
                    break
                }
                index -= 1
            }
            found.insert(place, at: index)
            if let last = found.last, found.count == kept { least = value(all[last]) }
        }
        return found
    }

    static func == (a: TracePicks, b: TracePicks) -> Bool {
        a.entries == b.entries && a.isCut == b.isCut
    }
}

/// Traces in the order in which an answer names them.
struct TraceLists: Equatable {
    /// By start, newest first.
    var recent: [TraceID]
    /// Those in which the service had an error, newest first.
    var errors: [TraceID]
    /// By the longest span of the service, slowest first.
    var slow: [TraceID]

    init(_ traces: [TraceID: TracePick], limit: Int) {
        let byStart = traces.sorted {
            ($1.value.startNanos, $1.key) < ($0.value.startNanos, $0.key)
        }
        recent = byStart.prefix(limit).map(\.key)
        errors = byStart.lazy.filter(\.value.isError).prefix(limit).map(\.key)
        slow = traces.sorted {
            ($1.value.durationNanos, $1.key) < ($0.value.durationNanos, $0.key)
        }.prefix(limit).map(\.key)
    }
}

/// Where the picks of one service and five minutes lie in a part.
struct PickEntry: Sendable {
    /// Number of the bucket.
    var bucket: Int64
    /// Bytes of the section.
    var range: Range<Int>
    var count: Int
    var isCut: Bool
}

/// Picks in a part; see `CorrelationFormat`, sections 7 and 8.
enum TracePickCoding {
    /// Bytes that a trace takes at least.
    static let leastBytes = 18

    /// - Parameter picks: trimmed.
    static func encode(_ picks: TracePicks, bucket: Int64, into writer: inout ByteWriter) {
        let base = bucket &* ServiceBucket.width
        for entry in picks.entries {
            writer.u64(entry.id.high)
            writer.u64(entry.id.low)
            writer.zigzag(entry.pick.startNanos &- base)
            writer.varint(
                UInt64(max(0, entry.pick.durationNanos)) &<< 1 | (entry.pick.isError ? 1 : 0))
        }
    }

    static func decode(
        _ reader: inout ByteReader, bucket: Int64, count: Int, into picks: inout TracePicks
    ) throws(MalformedBytes) {
        let base = bucket &* ServiceBucket.width
        for _ in 0..<count {
            let id = TraceID(high: try reader.u64(), low: try reader.u64())
            let start = base &+ (try reader.zigzag())
            let coded = try reader.varint()
            picks.add(
                id,
                TracePick(
                    startNanos: start, durationNanos: Int64(coded &>> 1), isError: coded & 1 == 1))
        }
    }
}
