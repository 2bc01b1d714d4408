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
        _ parts: [PartDescriptor], today: Int32 = 100, maxBytes: Int = 1 << 40
    )
        -> [[UInt64]]
    {
        CompactionPlanner.plan(parts, today: today, maxBytes: maxBytes).map { $0.map(\.id) }
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
            while let run = CompactionPlanner.plan(parts, today: today, maxBytes: 1 << 40).first {
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
