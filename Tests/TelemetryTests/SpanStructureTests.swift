// SPDX-License-Identifier: Apache-2.0
// Trees of traces, self time and critical path.

import Base
import Telemetry
import Testing

@Suite struct SpanStructureTests {
    /// id, parent, start, end, kind.
    typealias Row = (id: UInt64, parent: UInt64, start: Int64, end: Int64, kind: UInt8)

    private func times(_ rows: [Row]) -> SpanStructure {
        SpanStructure(
            spanIDs: rows.map { SpanID($0.id) }, parentIDs: rows.map { SpanID($0.parent) },
            starts: rows.map(\.start), ends: rows.map(\.end), kinds: rows.map(\.kind))
    }

    @Test func tableOfTraces() {
        let cases: [(name: String, rows: [Row], own: [Int64], path: [Int64])] = [
            ("one span", [(1, 0, 0, 10, 1)], [10], [10]),
            (
                "children one after the other",
                [(1, 0, 0, 100, 1), (2, 1, 10, 40, 1), (3, 1, 50, 90, 1)],
                [30, 30, 40], [30, 30, 40]
            ),
            (
                "of parallel children the last to finish",
                [(1, 0, 0, 100, 1), (2, 1, 10, 60, 1), (3, 1, 20, 90, 1)],
                [20, 50, 70], [30, 0, 70]
            ),
            (
                "a child before the last one began",
                [(1, 0, 0, 100, 1), (2, 1, 0, 20, 1), (3, 1, 5, 50, 1), (4, 1, 30, 90, 1)],
                [10, 20, 45, 60], [20, 20, 0, 60]
            ),
            (
                "of children that end together the longest",
                [(1, 0, 0, 10, 1), (2, 1, 5, 10, 1), (3, 1, 0, 10, 1)],
                [0, 5, 10], [0, 0, 10]
            ),
            (
                "a child that overflows is cut",
                [(1, 0, 10, 20, 1), (2, 1, 5, 30, 1)], [0, 25], [0, 10]
            ),
            (
                "a child outside its parent",
                [(1, 0, 10, 20, 1), (2, 1, 30, 40, 1)], [10, 10], [10, 0]
            ),
            (
                "nobody waits for a consumer",
                [(1, 0, 0, 10, 4), (2, 1, 5, 8, 5), (3, 2, 6, 7, 1)], [7, 2, 1], [10, 0, 0]
            ),
            (
                "grandchildren",
                [(1, 0, 0, 10, 1), (2, 1, 2, 8, 1), (3, 2, 3, 6, 1)], [4, 3, 3], [4, 3, 3]
            ),
            (
                "an orphan is a tree of its own",
                [(1, 0, 0, 10, 1), (2, 9, 2, 8, 1)], [10, 6], [10, 0]
            ),
            (
                "only orphans: the earliest is the root",
                [(2, 9, 2, 8, 1), (3, 9, 1, 3, 1)], [6, 2], [0, 2]
            ),
            ("its own parent", [(1, 1, 0, 10, 1)], [10], [10]),
            (
                "a ring is cut at its first span", [(1, 2, 0, 10, 1), (2, 1, 2, 8, 1)], [4, 6],
                [4, 6]
            ),
            (
                "a ring beside a root",
                [(3, 0, 0, 5, 1), (1, 2, 0, 10, 1), (2, 1, 2, 8, 1)], [5, 4, 6], [5, 0, 0]
            ),
            (
                "client and server with one id",
                [(1, 0, 0, 10, 3), (1, 0, 2, 8, 2), (2, 1, 3, 6, 1)], [4, 3, 3], [4, 3, 3]
            ),
            (
                "two spans of one id",
                [(1, 0, 0, 10, 1), (2, 1, 1, 3, 1), (2, 1, 5, 9, 1), (4, 2, 1, 2, 1)],
                [4, 1, 4, 1], [4, 1, 4, 1]
            ),
            ("ends before it begins", [(1, 0, 10, 5, 1), (2, 1, 7, 9, 1)], [0, 2], [0, 0]),
            ("no spans", [], [], []),
        ]
        for (name, rows, own, path) in cases {
            let result = times(rows)
            #expect(result.selfTimeNanos == own, "\(name)")
            #expect(result.criticalPathNanos == path, "\(name)")
        }
    }

    @Test func thePathIsAsLongAsTheRoot() {
        var random = Random(state: 7)
        for _ in 0..<300 {
            let count = 1 + random.below(40)
            let rows = (0..<count).map { number -> Row in
                let start = Int64(random.below(1000))
                return (
                    UInt64(1 + random.below(count)), UInt64(random.below(count + 2)), start,
                    start + Int64(random.below(500)), UInt8(random.below(5))
                )
            }
            let result = times(rows)
            let root = result.root ?? 0
            #expect(
                result.criticalPathNanos.reduce(0, +) == rows[root].end - rows[root].start)
            for (row, own) in result.selfTimeNanos.enumerated() {
                #expect(own >= 0 && own <= rows[row].end - rows[row].start)
                #expect(result.criticalPathNanos[row] >= 0)
            }
        }
    }

    @Test func absurdTimesDoNotTrap() {
        let result = times([
            (1, 0, .min, .max, 1), (2, 1, .min, 0, 1), (3, 1, 0, .max, 1), (4, 1, 5, .min, 1),
        ])
        #expect(result.selfTimeNanos.allSatisfy { $0 >= 0 })
        #expect(result.criticalPathNanos.allSatisfy { $0 >= 0 })
    }

    @Test func deepTracesAreWalkedWithoutRecursion() {
        let result = times((1...100_000).map { (UInt64($0), UInt64($0 - 1), 0, 10, 1) })
        #expect(result.criticalPathNanos.last == 10)
        #expect(result.selfTimeNanos.reduce(0, +) == 10)
        #expect(result.depths.last == 99_999)
        #expect(result.rights.first == 200_000)
    }

    @Test func numbersOfTheNestedSetEncloseDescendants() {
        let result = times([
            (4, 2, 30, 40, 1), (1, 0, 0, 100, 1), (3, 1, 50, 60, 1), (2, 1, 10, 45, 1),
            (9, 7, 5, 6, 1),
        ])
        #expect(result.root == 1)
        #expect(result.parents == [3, -1, 1, 1, -1])
        #expect(result.depths == [2, 0, 1, 1, 0])
        #expect(result.lefts == [3, 1, 6, 2, 9])
        #expect(result.rights == [4, 8, 7, 5, 10])
        #expect(result.childCounts == [0, 2, 0, 1, 0])
    }

    @Test func theOrderOfRowsDoesNotMatter() {
        var random = Random(state: 3)
        for _ in 0..<200 {
            let count = 1 + random.below(60)
            var rows: [Row] = (0..<count).map { _ in
                let start = Int64(random.below(20))
                return (
                    UInt64(1 + random.below(count)), UInt64(random.below(count + 2)), start,
                    start + Int64(random.below(20)), UInt8(random.below(6))
                )
            }
            // Spans of one identity are one span.
            var seen: Set<[UInt64]> = []
            rows = rows.filter {
                seen.insert([$0.id, UInt64($0.start), UInt64($0.kind)]).inserted
            }
            let before = times(rows)
            let order = rows.indices.sorted {
                rows[$0].end == rows[$1].end
                    ? $0 > $1 : rows[$0].end < rows[$1].end
            }
            let after = times(order.map { rows[$0] })
            for (new, old) in order.enumerated() {
                #expect(after.selfTimeNanos[new] == before.selfTimeNanos[old])
                #expect(after.criticalPathNanos[new] == before.criticalPathNanos[old])
                #expect(after.lefts[new] == before.lefts[old])
                #expect(after.depths[new] == before.depths[old])
                #expect(after.childCounts[new] == before.childCounts[old])
            }
            #expect(before.root.map { order[after.root ?? 0] == $0 } == true)
        }
    }
}

private struct Random {
    var state: UInt64
    mutating func below(_ n: Int) -> Int {
        state ^= state &<< 13
        state ^= state &>> 7
        state ^= state &<< 17
        return Int(state % UInt64(n))
    }
}
