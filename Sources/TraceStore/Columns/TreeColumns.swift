// SPDX-License-Identifier: Apache-2.0
// Structure of the traces of a block's spans.

import Base
import Telemetry

/// What `SpanStructure` says of each row, as of the spans of its trace in the same part.
///
///     tree   n × varint 2 × depth + root | n × varint left | n × varint descendants |
///            n × varint children
///     times  n × varint duration − self time | n × varint: 0 = the critical path has the self time,
///            else its time + 1
///
/// Right is left + 2 × descendants + 1. A duration is 0 where a span ends before it starts.
struct TreeColumns: Equatable {
    var depths: [UInt32] = []
    var isRoot: [Bool] = []
    var lefts: [UInt32] = []
    var descendants: [UInt32] = []
    var children: [UInt32] = []
    var selfTimes: [Int64] = []
    var criticalPaths: [Int64] = []

    init() {}

    init(count: Int) {
        depths = [UInt32](repeating: 0, count: count)
        isRoot = [Bool](repeating: false, count: count)
        lefts = depths
        descendants = depths
        children = depths
        selfTimes = [Int64](repeating: 0, count: count)
        criticalPaths = selfTimes
    }

    /// Takes over what is known of the rows of one trace.
    mutating func set(_ structure: SpanStructure, rows: ArraySlice<UInt32>) {
        for (index, row) in rows.enumerated() {
            let row = Int(row)
            depths[row] = structure.depths[index]
            isRoot[row] = structure.root == index
            lefts[row] = structure.lefts[index]
            descendants[row] = (structure.rights[index] &- structure.lefts[index] &- 1) / 2
            children[row] = structure.childCounts[index]
            selfTimes[row] = structure.selfTimeNanos[index]
            criticalPaths[row] = structure.criticalPathNanos[index]
        }
    }

    /// Takes over one row of others.
    mutating func set(_ row: Int, _ other: TreeColumns, _ otherRow: Int) {
        depths[row] = other.depths[otherRow]
        isRoot[row] = other.isRoot[otherRow]
        lefts[row] = other.lefts[otherRow]
        descendants[row] = other.descendants[otherRow]
        children[row] = other.children[otherRow]
        selfTimes[row] = other.selfTimes[otherRow]
        criticalPaths[row] = other.criticalPaths[otherRow]
    }

    func encodeTree(_ rows: Range<Int>, into writer: inout ByteWriter) {
        for row in rows { writer.varint(UInt64(depths[row]) << 1 | (isRoot[row] ? 1 : 0)) }
        for column in [lefts, descendants, children] {
            for row in rows { writer.varint(UInt64(column[row])) }
        }
    }

    func encodeTimes(
        _ rows: Range<Int>, starts: [Int64], ends: [Int64], into writer: inout ByteWriter
    ) {
        for row in rows {
            let covered = distance(starts[row], ends[row]) - selfTimes[row]
            writer.varint(UInt64(Swift.max(0, covered)))
        }
        for row in rows {
            writer.varint(
                criticalPaths[row] == selfTimes[row]
                    ? 0 : UInt64(Swift.max(0, criticalPaths[row])) + 1)
        }
    }

    mutating func decodeTree(_ reader: inout ByteReader, count: Int) throws(MalformedBytes) {
        guard count * 4 <= reader.remaining else { throw reader.malformed("\(count) rows") }
        depths.reserveCapacity(count)
        for _ in 0..<count {
            let number = try reader.u32Varint()
            depths.append(number >> 1)
            isRoot.append(number & 1 != 0)
        }
        for _ in 0..<count { lefts.append(try reader.u32Varint()) }
        for _ in 0..<count { descendants.append(try reader.u32Varint()) }
        for _ in 0..<count { children.append(try reader.u32Varint()) }
    }

    /// - Parameter durations: of the rows, not below 0.
    mutating func decodeTimes(
        _ reader: inout ByteReader, durations: [Int64]
    ) throws(MalformedBytes) {
        guard durations.count * 2 <= reader.remaining else {
            throw reader.malformed("\(durations.count) rows")
        }
        selfTimes.reserveCapacity(durations.count)
        criticalPaths.reserveCapacity(durations.count)
        for duration in durations {
            let covered = try reader.varint()
            guard covered <= UInt64(duration) else {
                throw reader.malformed("a self time within the duration")
            }
            selfTimes.append(duration - Int64(covered))
        }
        for own in selfTimes {
            let code = try reader.varint()
            guard code <= 1 << 63 else { throw reader.malformed("critical path time") }
            criticalPaths.append(code == 0 ? own : Int64(code - 1))
        }
    }
}
