// SPDX-License-Identifier: Apache-2.0
// Tests of what is merged and what is dropped.

import Base
import Storage
import Testing

struct PlannerTests {
    private func part(
        _ id: UInt64, bytes: UInt64, day: Int32 = 100, tenant: String = "t",
        signal: Signal = .logs, retentionClass: UInt8 = 0, sequence: UInt64? = nil
    ) -> PartDescriptor {
        let nanos = Int64(day) * nanosPerDay
        return PartDescriptor(
            id: id, signal: signal, tenant: tenant, day: day, level: 0, minNanos: nanos,
            maxNanos: nanos + 1000, rowCount: 1, byteCount: bytes, retentionClass: retentionClass,
            lastSequence: sequence ?? id)
    }

    private func plan(
        _ parts: [PartDescriptor], today: Int32 = 100, maxBytes: Int = 1 << 40,
        barriers: Set<UInt64> = []
    )
        -> [[UInt64]]
    {
        CompactionPlanner.plan(
            parts, isMergeable: { !barriers.contains($0.id) }, today: today,
            limits: { _ in MergeLimits(bytes: maxBytes) }
        ).map { $0.map(\.id) }
    }

    @Test func aPartThatCannotBeMergedIsNeverSkipped() {
        let parts = (1...7).map { part($0, bytes: 100) }
        #expect(plan(parts, today: 101, barriers: [3]) == [[4, 5, 6, 7]])
        #expect(plan(parts, today: 101, barriers: [2, 5]) == [[3, 4]])
        #expect(plan(parts, today: 101, barriers: [6]) == [[1, 2, 3, 4, 5]])
        #expect(plan(parts, today: 101, barriers: [2, 4, 6]) == [])
    }

    @Test func aMergeWeighsNoMoreThanItsStoreBears() {
        let parts = (1...7).map { part($0, bytes: 100) }
        let runs = CompactionPlanner.plan(
            parts, today: 101, weight: { $0.id == 2 ? 20 : 10 },
            limits: { MergeLimits(bytes: 1 << 40, weight: $0 == .logs ? 40 : .max) })
        #expect(runs.map { $0.map(\.id) } == [[3, 4, 5, 6]])
    }

    /// Whatever is sealed, merged, damaged and dropped in whatever order: the parts of a group, in
    /// their order, hold ascending and disjoint stretches of the log.
    @Test func mergesKeepTheOrderOfArrival() {
        for seed in 0..<200 as Range<UInt64> {
            var random = SplitMix64(seed: seed)
            func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
            var parts: [PartDescriptor] = []
            /// Log records in each part.
            var records: [UInt64: ClosedRange<UInt64>] = [:]
            var sequence: UInt64 = 0
            var nextID: UInt64 = 1
            func add(_ stretch: ClosedRange<UInt64>, bytes: UInt64) {
                parts.append(part(nextID, bytes: bytes, sequence: stretch.upperBound))
                records[nextID] = stretch
                nextID += 1
            }
            var merges = 0
            for _ in 0..<120 {
                let first = sequence + 1
                sequence += 1 + UInt64(below(9))
                add(first...sequence, bytes: UInt64(1 + below(1000)))
                let damaged = Set(parts.map(\.id).filter { _ in below(12) == 0 })
                for run in plan(
                    parts.shuffled(using: &random), today: 100 + Int32(below(2)), maxBytes: 9000,
                    barriers: damaged)
                {
                    #expect(damaged.isDisjoint(with: run))
                    // While it is merged, the next part is sealed: the output has a higher id.
                    let first = sequence + 1
                    sequence += 1
                    add(first...sequence, bytes: 10)
                    let stretches = run.compactMap { records[$0] }
                    let bytes = parts.filter { run.contains($0.id) }.reduce(0) { $0 + $1.byteCount }
                    let low = stretches.map(\.lowerBound).min() ?? 0
                    let high = stretches.map(\.upperBound).max() ?? 0
                    parts.removeAll { run.contains($0.id) }
                    add(low...high, bytes: bytes)
                    merges += 1
                }
                if below(10) == 0 { parts.remove(at: below(parts.count)) }
                let ordered = parts.sorted(by: PartDescriptor.isOlder).compactMap {
                    records[$0.id]
                }
                #expect(
                    zip(ordered, ordered.dropFirst()).allSatisfy {
                        $0.upperBound < $1.lowerBound
                    }, "seed \(seed)")
            }
            #expect(merges > 10)
        }
    }

    @Test func planCases() {
        let same = (1...4).map { part($0, bytes: 100) }
        let cases: [(name: String, parts: [PartDescriptor], today: Int32, want: [[UInt64]])] = [
            ("four of a size", same, 100, [[1, 2, 3, 4]]),
            ("three are not enough", Array(same.prefix(3)), 100, []),
            ("of a day that is over they are", Array(same.prefix(3)), 101, [[1, 2, 3]]),
            ("one stays alone", [same[0]], 200, []),
            (
                "a big one waits until the small ones weigh enough",
                [part(1, bytes: 10_000)] + (2...5).map { part($0, bytes: 100) }, 100,
                [[2, 3, 4, 5]]
            ),
            (
                "other tenants, signals, days and classes are apart",
                [
                    part(1, bytes: 9), part(2, bytes: 9, day: 99),
                    part(3, bytes: 9, tenant: "u"), part(4, bytes: 9, signal: .traces),
                    part(5, bytes: 9, retentionClass: 1),
                ], 200, []
            ),
            (
                "neighbours in log order, not in id order",
                [
                    part(1, bytes: 100, sequence: 40), part(2, bytes: 100, sequence: 10),
                    part(3, bytes: 100, sequence: 30), part(4, bytes: 100, sequence: 20),
                ], 100, [[2, 4, 3, 1]]
            ),
        ]
        for one in cases { #expect(plan(one.parts, today: one.today) == one.want, "\(one.name)") }
    }

    @Test func boundsOfARun() {
        let many = (1...40).map { part($0, bytes: 100) }
        #expect(plan(many).map(\.count) == [CompactionPlanner.maxInputs])
        #expect(plan(many, maxBytes: 450).map(\.count) == [4])
        #expect(plan(many, maxBytes: 350) == [])
    }

    /// Sealing every five minutes for a day: how often is each byte rewritten?
    @Test func aDayOfSealsIsRewrittenFewTimes() {
        var parts: [PartDescriptor] = []
        var nextID: UInt64 = 1
        var rewritten: UInt64 = 0
        func settle(_ today: Int32) {
            while let run = CompactionPlanner.plan(
                parts, today: today, limits: { _ in MergeLimits(bytes: 1 << 40) }
            ).first {
                let bytes = run.reduce(0) { $0 + $1.byteCount }
                rewritten += bytes
                let ids = Set(run.map(\.id))
                parts.removeAll { ids.contains($0.id) }
                parts.append(
                    part(nextID, bytes: bytes, sequence: run.map(\.lastSequence).max()))
                nextID += 1
            }
        }
        for seal in 1...288 {
            parts.append(part(nextID, bytes: 1000, sequence: UInt64(seal)))
            nextID += 1
            settle(100)
            #expect(parts.count < 24)
        }
        settle(101)
        #expect(parts.count <= 2)
        #expect(Double(rewritten) / 288_000 < 6)
    }

    @Test func retentionCases() {
        let days = (90...100).map { part(UInt64($0), bytes: 100, day: Int32($0)) }
        func dropped(_ wallDay: Double, _ seconds: Double, _ maxBytes: Int?) -> [UInt64] {
            RetentionPlanner.plan(
                days, wallNanos: Int64(wallDay * Double(nanosPerDay)),
                retentionSeconds: { _ in seconds }, maxBytes: maxBytes
            ).map(\.id)
        }
        #expect(dropped(101, 0, nil) == [])
        #expect(dropped(101, 8 * 86_400, nil) == [90, 91])
        // A clock far ahead counts from the newest data, one behind from itself.
        #expect(dropped(100_000, 8 * 86_400, nil) == [90, 91])
        #expect(dropped(95, 3 * 86_400, nil) == [90, 91])
        #expect(dropped(101, 0, 350) == Array(90...97))
        #expect(dropped(101, 8 * 86_400, 850) == [90, 91, 92])
        #expect(dropped(101, 0, 0).count == 11)
    }
}
