// SPDX-License-Identifier: Apache-2.0
// What of a part is deleted; the byte diagram is also in docs/formats/deletions.md.

import Base
import Storage
import Telemetry

/// The deletions of one metric part, as its descriptor carries them:
///
///     +-----------------------------------------------------------------+
///     | version u8 = 1 | varint entryCount, per entry:                   |
///     |   zigzag firstMillis | varint lastMillis − firstMillis           |
///     |   varint runCount, per run of series:                            |
///     |     varint gap since the end of the previous run                 |
///     |     varint length − 1                                            |
///     +-----------------------------------------------------------------+
///
/// An entry says that the series of its runs have no samples and no exemplars from `firstMillis` to
/// `lastMillis`, inclusive. Series are those of the part's series section, by number. Entries
/// ascend by (first, last), no two have the same range; runs ascend and do not touch.
struct Deletions: Sendable, Equatable {
    static let version: UInt8 = 1
    /// Most entries of a part: reading a series looks at each.
    static let maxEntries = 1024
    /// Most bytes of a part's deletions; they are held in the manifest.
    static let maxBytes = 16 << 20

    struct Entry: Sendable, Equatable {
        var range: MillisRange
        /// Ascending, not touching.
        var series: [Range<UInt32>]

        func contains(_ id: UInt32) -> Bool {
            let index = lowerBound(series.count) { series[$0].upperBound <= id }
            return index < series.count && series[index].contains(id)
        }
    }

    private(set) var entries: [Entry] = []

    init() {}

    var isEmpty: Bool { entries.isEmpty }

    /// Deleted times of a series, ascending by their first; they may overlap.
    @inline(__always)
    func ranges(of series: Int) -> [MillisRange] {
        if entries.isEmpty { return [] }
        let id = UInt32(truncatingIfNeeded: series)
        return entries.compactMap { $0.contains(id) ? $0.range : nil }
    }

    /// Whether a series has nothing left in a span of time.
    func covers(_ series: Int, _ span: MillisRange) -> Bool {
        isCovered(span.first.rawValue, span.last.rawValue, by: ranges(of: series))
    }

    // MARK: - Adding

    /// Adds a deletion of some series.
    ///
    /// - Parameter whole: all times of the part. Series that are deleted for all of it need no
    ///   other entry.
    mutating func add(_ series: Postings, _ range: MillisRange, whole: MillisRange) {
        if series.isEmpty { return }
        var byRange = entries
        let runs = Deletions.runs(series.ids)
        if let index = byRange.firstIndex(where: { $0.range == range }) {
            let known = byRange[index].series.flatMap { Array($0) }
            let all = Postings.union(
                [Postings(ascending: known), series],
                limit: Int(max(known.last ?? 0, series.ids.last ?? 0)) + 1)
            byRange[index].series = Deletions.runs(all.ids)
        } else {
            byRange.append(Entry(range: range, series: runs))
        }
        if range == whole {
            for index in byRange.indices where byRange[index].range != whole {
                let rest = Postings(ascending: byRange[index].series.flatMap { Array($0) })
                    .subtracting(series)
                byRange[index].series = Deletions.runs(rest.ids)
            }
            byRange.removeAll { $0.series.isEmpty }
        }
        entries = byRange.sorted {
            ($0.range.first.rawValue, $0.range.last.rawValue)
                < ($1.range.first.rawValue, $1.range.last.rawValue)
        }
    }

    private static func runs(_ ids: [UInt32]) -> [Range<UInt32>] {
        var runs: [Range<UInt32>] = []
        for id in ids {
            if let last = runs.last, last.upperBound == id {
                runs[runs.count - 1] = last.lowerBound..<(id + 1)
            } else {
                runs.append(id..<(id + 1))
            }
        }
        return runs
    }

    // MARK: - Coding

    /// The bytes for the descriptor; none when nothing is deleted.
    func encoded() -> [UInt8] {
        if entries.isEmpty { return [] }
        var out = ByteWriter()
        out.u8(Deletions.version)
        out.varint(entries.count)
        for entry in entries {
            out.zigzag(entry.range.first.rawValue)
            out.varint(
                UInt64(bitPattern: entry.range.last.rawValue &- entry.range.first.rawValue))
            out.varint(entry.series.count)
            var end: UInt32 = 0
            for run in entry.series {
                out.varint(UInt64(run.lowerBound - end))
                out.varint(UInt64(run.count - 1))
                end = run.upperBound
            }
        }
        return out.bytes
    }

    /// - Parameter seriesCount: of the part; no run goes beyond it.
    init(_ bytes: [UInt8], seriesCount: Int) throws(MalformedBytes) {
        if bytes.isEmpty { return }
        let parsed = bytes.withUnsafeBytes { raw -> Result<[Entry], MalformedBytes> in
            var reader = ByteReader(raw)
            do throws(MalformedBytes) {
                return .success(try Deletions.entries(&reader, seriesCount))
            } catch { return .failure(error) }
        }
        entries = try parsed.get()
    }

    private static func entries(
        _ reader: inout ByteReader, _ seriesCount: Int
    ) throws(MalformedBytes) -> [Entry] {
        guard try reader.u8() == version else { throw reader.malformed("version \(version)") }
        var entries: [Entry] = []
        for _ in 0..<(try reader.length(limit: maxEntries, "number of deletions")) {
            let first = try reader.zigzag()
            let span = Int64(bitPattern: try reader.varint())
            let last = first &+ span
            guard last >= first else { throw reader.malformed("a range of times") }
            var runs: [Range<UInt32>] = []
            var end = 0
            for _ in 0..<(try reader.length(limit: reader.remaining / 2, "number of runs")) {
                let gap = try reader.length(limit: seriesCount - end, "gap between runs")
                let count = try reader.length(limit: seriesCount, "length of a run") + 1
                let start = end + gap
                guard count <= seriesCount - start else {
                    throw reader.malformed("series below \(seriesCount)")
                }
                end = start + count
                runs.append(
                    UInt32(truncatingIfNeeded: start)..<UInt32(truncatingIfNeeded: end))
            }
            entries.append(
                Entry(
                    range: MillisRange(first: Millis(first), last: Millis(last)), series: runs))
        }
        guard reader.isAtEnd else { throw reader.malformed("the end of the deletions") }
        return entries
    }
}

extension MillisRange {
    /// The times in both; first is above last when there are none.
    func intersection(_ other: MillisRange) -> MillisRange {
        MillisRange(first: max(first, other.first), last: min(last, other.last))
    }
}

/// Whether ranges, ascending by their first, leave nothing of a span of times.
func isCovered(_ first: Int64, _ last: Int64, by ranges: [MillisRange]) -> Bool {
    if ranges.isEmpty { return false }
    var next = first
    for range in ranges {
        if range.first.rawValue > next { return false }
        if range.last.rawValue >= last { return true }
        if range.last.rawValue >= next { next = range.last.rawValue + 1 }
    }
    return false
}
