// SPDX-License-Identifier: Apache-2.0
// Tests of what is down-sampled, and when.

import Base
import Storage
import Testing

struct DownsamplingPlannerTests {
    private let rules = [
        DownsamplingRule(afterSeconds: 30 * 86_400, resolutionMillis: 300_000),
        DownsamplingRule(afterSeconds: 365 * 86_400, resolutionMillis: 3_600_000),
    ]

    private func part(
        _ id: UInt64, day: Int32, bytes: UInt64 = 100, retentionClass: UInt8 = 0,
        signal: Signal = .metrics, rows: UInt64 = 1
    ) -> PartDescriptor {
        let nanos = Int64(day) * nanosPerDay
        return PartDescriptor(
            id: id, signal: signal, tenant: "t", day: day, level: 0, minNanos: nanos,
            maxNanos: nanos + nanosPerDay - 1, rowCount: rows, byteCount: bytes,
            retentionClass: retentionClass, lastSequence: id)
    }

    private func plan(
        _ parts: [PartDescriptor], today: Int32, resolutions: [UInt64: Int64] = [:],
        barriers: Set<UInt64> = [], maxBytes: Int = 1 << 30
    ) -> [String] {
        DownsamplingPlanner.plan(
            parts, rules: rules, isMergeable: { !barriers.contains($0.id) },
            resolution: { $0.signal == .metrics ? resolutions[$0.id] ?? 0 : nil },
            wallNanos: Int64(today) * nanosPerDay, maxBytes: maxBytes
        ).map { "\($0.parts.map(\.id)) \($0.resolutionMillis / 60_000)m" }
    }

    @Test func aDayIsDueByTheAgeOfItsEnd() {
        let now = part(9, day: 1000)
        #expect(plan([part(1, day: 970), now], today: 1000) == [])
        #expect(plan([part(1, day: 969), now], today: 1000) == ["[1] 5m"])
        #expect(plan([part(1, day: 635), now], today: 1000) == ["[1] 5m"])
        #expect(plan([part(1, day: 634), now], today: 1000) == ["[1] 60m"])
        // Counted from the newest data: a clock that jumps ahead takes nothing.
        #expect(plan([part(1, day: 972), now], today: 3000) == [])
    }

    @Test func whatIsCoarseEnoughStays() {
        let parts = [part(1, day: 900), part(2, day: 900), part(9, day: 1000)]
        #expect(plan(parts, today: 1000) == ["[1, 2] 5m"])
        #expect(plan(parts, today: 1000, resolutions: [1: 300_000, 2: 300_000]) == [])
        #expect(plan(parts, today: 1000, resolutions: [1: 3_600_000, 2: 300_000]) == [])
        // A late part joins the others.
        #expect(plan(parts, today: 1000, resolutions: [1: 300_000]) == ["[1, 2] 5m"])
    }

    @Test func classesSignalsAndBarriersStayApart() {
        let parts = [
            part(1, day: 900), part(2, day: 900, retentionClass: 1), part(3, day: 900),
            part(4, day: 900, signal: .logs), part(5, day: 899), part(6, day: 900),
            part(7, day: 900, rows: 0), part(9, day: 1000),
        ]
        #expect(
            plan(parts, today: 1000) == ["[5] 5m", "[1, 3, 6] 5m", "[2] 5m"])
        #expect(
            plan(parts, today: 1000, barriers: [3]) == ["[5] 5m", "[1] 5m", "[2] 5m", "[6] 5m"])
    }

    @Test func runsAreBoundedInBytes() {
        let parts = [
            part(1, day: 900, bytes: 400), part(2, day: 900, bytes: 400),
            part(3, day: 900, bytes: 2000), part(4, day: 900, bytes: 700), part(9, day: 1000),
        ]
        #expect(plan(parts, today: 1000, maxBytes: 1000) == ["[1, 2] 5m", "[4] 5m"])
    }
}
