// SPDX-License-Identifier: Apache-2.0
// What distinguishes two sets of rows.

import Testing

@testable import Diagnosis

@Suite struct ComparisonTests {
    private func rows(
        _ count: Int, _ attributes: (Int) -> [(AttributeOrigin, String, String)]
    ) -> AttributeRows {
        var rows = AttributeRows()
        for i in 0..<count {
            rows.add(attributes(i).map { (AttributeRows.Key($0.0, $0.1), $0.2) })
        }
        return rows
    }

    @Test func theValueThatDiffersComesFirst() throws {
        let slow = rows(100) {
            [
                (.span, "region", $0 < 90 ? "eu" : "us"),
                (.span, "color", $0 % 2 == 0 ? "red" : "blue"),
            ]
        }
        let rest = rows(400) {
            [
                (.span, "region", $0 % 10 == 0 ? "eu" : "us"),
                (.span, "color", $0 % 2 == 0 ? "red" : "blue"),
            ]
        }
        let found = Comparison.differences(slow, rest)
        let first = try #require(found.first { $0.effect > 0 })
        #expect(first.key == AttributeRows.Key(.span, "region"))
        #expect(first.value == "eu")
        #expect(first.selectionShare == 0.9)
        #expect(first.baselineShare == 0.1)
        #expect(abs(first.effect - 0.8) < 1e-12)
        #expect(first.support == 90)
        #expect(first.adjustedP < 1e-6)
        #expect(!found.contains { $0.key.name == "color" })
    }

    @Test func rowsAlikeShowNoDifference() {
        let some = rows(200) { [(.label, "pod", "p\($0 % 7)"), (.metadata, "n", "\($0 % 50)")] }
        #expect(Comparison.differences(some, some).isEmpty)
        #expect(Comparison.differences(AttributeRows(), some).isEmpty)
        #expect(Comparison.differences(some, AttributeRows()).isEmpty)
    }

    @Test func numbersDifferByTheirDistribution() throws {
        let slow = rows(200) { [(.intrinsic, "duration", "\(1000 + $0)")] }
        let rest = rows(200) { [(.intrinsic, "duration", "\(100 + $0)")] }
        let found = try #require(Comparison.differences(slow, rest).first)
        #expect(found.value == nil)
        #expect(found.range == 1000...1199)
        #expect(found.selectionShare == 1)
        #expect(found.baselineShare == 0)
        #expect(found.effect == 1)
        let lower = try #require(Comparison.differences(rest, slow).first)
        #expect(lower.range == 100...299)
        #expect(lower.selectionShare == 1)
    }

    @Test func attributesOfTheSameRowsAreOne() {
        let slow = rows(50) { _ in
            [(.span, "host", "a"), (.span, "zone", "z1"), (.span, "other", "x")]
        }
        let rest = rows(50) { _ in
            [(.span, "host", "b"), (.span, "zone", "z2"), (.span, "other", "x")]
        }
        let more = Comparison.differences(slow, rest).filter { $0.effect > 0 }
        #expect(more.count == 1)
        #expect(more.first?.sameAs.count == 1)
    }

    /// Of a thousand attributes without meaning few enough pass by chance.
    @Test func chanceAloneFindsLittle() {
        var state: UInt64 = 42
        func random() -> UInt64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return state
        }
        func side() -> AttributeRows {
            rows(60) { _ in (0..<1000).map { (.span, "a\($0)", random() % 2 == 0 ? "y" : "n") } }
        }
        let found = Comparison.differences(side(), side(), limit: 10_000)
        #expect(found.count < 20)
    }

    @Test func rareValuesHaveNoSupport() {
        let slow = rows(100) { [(.span, "id", "\($0)"), (.span, "rare", $0 < 3 ? "x" : "y")] }
        let rest = rows(100) { [(.span, "id", "\($0 + 1000)"), (.span, "rare", "y")] }
        #expect(!Comparison.differences(slow, rest).contains { $0.key.name == "rare" })
    }

    @Test func theFarthestPlaceOfTwoDistributions() {
        let (distance, place, isGreater) = Comparison.farthest([3, 4, 5, 6], [1, 2, 3, 4])
        #expect(distance == 0.5)
        #expect(place == 2)
        #expect(isGreater)
        #expect(Comparison.smirnovP(0, 10, 10) == 1)
        #expect(Comparison.smirnovP(1, 100, 100) < 1e-6)
    }
}
