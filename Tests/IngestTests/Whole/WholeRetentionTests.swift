// SPDX-License-Identifier: Apache-2.0
// Retention by time and by size, with all four stores attached.

import Base
import Correlation
import MetricStore
import Storage
import Telemetry
import TestKit
import Testing

struct WholeRetentionTests {
    private static let day: Double = 86_400

    /// A server with ten days of data, one commit at noon of each, sealed one by one.
    private func tenDays(
        _ disk: FaultyDisk, _ clock: ManualClock,
        retentionClassOfLogs: UInt8 = 0,
        change: (inout KernelConfiguration) -> Void
    ) async throws -> (server: WholeServer, promises: [Promise]) {
        let server = try WholeServer(
            disk, clock: clock, retentionClassOfLogs: retentionClassOfLogs, change: change)
        var promises: [Promise] = []
        for key in 1...10 as ClosedRange<UInt64> {
            promises.append(
                Promise(key: key, tenant: "t", nanos: clock.wallNanos + Int64(key) * 1_000_000))
            try await server.commit([promises[promises.count - 1]])
            try await server.kernel.sealNow()
            clock.advance(seconds: WholeRetentionTests.day)
        }
        return (server, promises)
    }

    /// Parts of each signal.
    private func counts(_ server: WholeServer) -> [Int] {
        [Signal.metrics, .logs, .traces, .correlation].map { server.parts($0) }
    }

    /// Noon of a day.
    private func clock() -> ManualClock {
        ManualClock(wallNanos: 20_000 * 86_400_000_000_000 + 43_200_000_000_000)
    }

    @Test func whatIsOutOfTimeLeavesAllStores() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let (server, promises) = try await tenDays(disk, clock) {
            $0.retentionSeconds = 4.5 * WholeRetentionTests.day
        }
        #expect(counts(server) == [10, 10, 10, 10])
        try await server.kernel.enforceRetention()
        // Counted from the newest data, a day before the clock.
        #expect(counts(server) == [5, 5, 5, 5])
        try #expect(server.breaches(Array(promises.suffix(5))) == [])
        for promise in promises.prefix(5) {
            #expect(
                server.correlation.traceRefs(promise.id, tenant: Tenant("t")).logs.isEmpty)
        }
        #expect(disk.paths.filter { $0.hasSuffix(".part") }.count == 20)
        // Nothing more comes in, the clock goes on: nothing more goes.
        clock.advance(seconds: 30 * WholeRetentionTests.day)
        try await server.kernel.enforceRetention()
        #expect(counts(server) == [5, 5, 5, 5])
        await server.kernel.stop()
        let again = try WholeServer(disk, clock: clock)
        try #expect(again.breaches(Array(promises.suffix(5))) == [])
        await again.kernel.stop()
    }

    @Test func aPartHalfOutOfTimeIsKept() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let server = try WholeServer(disk, clock: clock) {
            $0.retentionSeconds = WholeRetentionTests.day
        }
        let early = Promise(key: 1, tenant: "t", nanos: clock.wallNanos)
        let late = Promise(
            key: 2, tenant: "t", nanos: clock.wallNanos + Int64(6 * 3600) * 1_000_000_000)
        try await server.commit([early, late])
        try await server.kernel.sealNow()
        clock.advance(seconds: 1.2 * WholeRetentionTests.day)
        let now = Promise(key: 3, tenant: "t", nanos: clock.wallNanos)
        try await server.commit([now])
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        try #expect(server.breaches([early, late, now]) == [])
        clock.advance(seconds: 0.2 * WholeRetentionTests.day)
        let last = Promise(key: 4, tenant: "t", nanos: clock.wallNanos)
        try await server.commit([last])
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        try #expect(server.breaches([now, last]) == [])
        await server.kernel.stop()
    }

    @Test func whatIsTooMuchLeavesByDayWithItsIndex() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let (server, promises) = try await tenDays(disk, clock) { _ in }
        await server.kernel.stop()
        let all = server.kernel.status.parts.values.reduce(0) { $0 + $1.bytes }
        let bounded = try WholeServer(disk, clock: clock) { $0.retentionBytes = all / 2 }
        try await bounded.kernel.enforceRetention()
        let left = bounded.kernel.status.parts.values.reduce(0) { $0 + $1.bytes }
        #expect(left <= all / 2)
        #expect(left > all / 3)
        let kept = counts(bounded)
        // Data of the oldest day that is left may be gone in part; its index is there for the rest.
        #expect(Set(kept.prefix(3)).count <= 2)
        #expect(kept[3] == kept.prefix(3).max())
        #expect(
            try bounded.breaches(Array(promises.suffix(kept.min() ?? 0))).filter {
                !$0.hasPrefix("not promised")
            } == [])
        await bounded.kernel.stop()
    }

    /// Lines of one class outlive the rest; the index that leads to them stays with them.
    @Test func theIndexStaysAsLongAsAnythingItLeadsTo() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let (server, promises) = try await tenDays(disk, clock, retentionClassOfLogs: 3) {
            $0.retentionSeconds = 4.5 * WholeRetentionTests.day
            $0.retentionSecondsByClass = [3: 7.5 * WholeRetentionTests.day]
        }
        try await server.kernel.enforceRetention()
        #expect(counts(server) == [5, 8, 5, 8])
        let third = promises[2]
        let refs = server.correlation.traceRefs(third.id, tenant: Tenant("t"))
        #expect(refs.logs.count == 1)
        await server.kernel.stop()
    }

    /// A rule per series, and the numbers of the rules over restarts with other rules.
    @Test func seriesAreKeptAsLongAsTheirRulesSay() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        func rule(_ series: String, days: Double) -> MetricRetention {
            MetricRetention(
                selectors: [[LabelMatcher(equal: "s", series)]],
                seconds: days * WholeRetentionTests.day)
        }
        func server(_ rules: [MetricRetention]) throws -> WholeServer {
            try WholeServer(disk, clock: clock, retention: rules) {
                $0.retentionSeconds = 4.5 * WholeRetentionTests.day
            }
        }
        // Days 1 to 10, each with the series 0 to 4: the key tells both.
        let first = try server([rule("1", days: 1.5), rule("2", days: 8.5)])
        for day in 0..<10 as Range<UInt64> {
            let promises = (0..<5 as Range<UInt64>).map {
                Promise(key: day * 5 + $0, tenant: "t", nanos: clock.wallNanos + Int64($0))
            }
            try await first.commit(promises)
            try await first.kernel.sealNow()
            clock.advance(seconds: WholeRetentionTests.day)
        }
        func days(_ server: WholeServer) throws -> [[UInt64]] {
            let keys = try server.visible("t").samples.keys.sorted()
            return (0..<5).map { series in keys.filter { $0 % 5 == series }.map { $0 / 5 } }
        }
        let rest = Array(5..<10 as Range<UInt64>)
        try await first.kernel.enforceRetention()
        try #expect(days(first) == [rest, [8, 9], Array(1..<10), rest, rest])
        await first.kernel.stop()
        // Another order and another time; a rule less leaves its series to the default.
        let second = try server([rule("4", days: 2.5), rule("2", days: 6.5)])
        try await second.kernel.compactNow()
        try await second.kernel.enforceRetention()
        // Series 4 was sealed without a class, and no merge has touched it since.
        try #expect(days(second) == [rest, [8, 9], Array(3..<10), rest, rest])
        let late = Promise(
            key: 54, tenant: "t", nanos: clock.wallNanos - 86_399_000_000_000)
        try await second.commit([late])
        try await second.kernel.sealNow()
        await second.kernel.stop()
        let third = try server([rule("1", days: 1.5), rule("2", days: 8.5)])
        try await third.kernel.enforceRetention()
        try #expect(days(third) == [rest, [8, 9], Array(3..<10), rest, rest + [10]])
        await third.kernel.stop()
    }

    /// Days get coarser as they age, each class by itself; what is deleted stays deleted, and a
    /// restart changes nothing.
    @Test func oldDaysAreDownsampledWhateverElseHappensToThem() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let rules = [
            MetricRetention(
                selectors: [[LabelMatcher(equal: "s", "1")]],
                seconds: 6.5 * WholeRetentionTests.day)
        ]
        func server() throws -> WholeServer {
            try WholeServer(disk, clock: clock, retention: rules) {
                $0.downsampling = [
                    DownsamplingRule(
                        afterSeconds: 2 * WholeRetentionTests.day, resolutionMillis: 300_000),
                    DownsamplingRule(
                        afterSeconds: 5 * WholeRetentionTests.day, resolutionMillis: 3_600_000),
                ]
            }
        }
        let first = try server()
        // Each day 100 samples of 5 series, a minute apart.
        for day in 0..<10 as Range<UInt64> {
            for half in 0..<2 as Range<UInt64> {
                let keys = (0..<50 as Range<UInt64>).map { day * 100 + half * 50 + $0 }
                try await first.commit(
                    keys.map {
                        Promise(
                            key: $0, tenant: "t",
                            nanos: clock.wallNanos + Int64($0 % 100) * 60_000_000_000)
                    })
                try await first.kernel.sealNow()
            }
            clock.advance(seconds: WholeRetentionTests.day)
        }
        try await first.metrics.delete(
            [[LabelMatcher(equal: "s", "3")]], .all, tenant: Tenant("t"), in: first.kernel)
        try await first.kernel.downsampleNow()
        try await first.kernel.enforceRetention()
        #expect(first.kernel.status.work.partsDownsampled > 20)
        /// Samples that each series stands for, by day, and the points that are left of them.
        func counted(_ server: WholeServer) throws -> [String: [(samples: Double, points: Int)]] {
            let context = ReadContext()
            let set = try server.metrics.select(
                SeriesRequest(tenant: Tenant("t"), matchers: [], range: .all, aggregate: .sum),
                context)
            var result: [String: [(samples: Double, points: Int)]] = [:]
            for index in 0..<set.count {
                var columns = SampleColumns()
                try set.read(index, into: &columns, context)
                var days = [(samples: Double, points: Int)](repeating: (0, 0), count: 10)
                for i in 0..<columns.count {
                    let day = Int(columns.millis[i] / 86_400_000 - 20_000)
                    days[day].samples += columns.counts.isEmpty ? 1 : columns.counts[i]
                    days[day].points += 1
                }
                result[set.labels(index)["s"] ?? ""] = days
            }
            #expect(context.warnings == [])
            return result
        }
        func check(_ server: WholeServer) throws {
            let found = try counted(server)
            #expect(found.keys.sorted() == ["0", "1", "2", "4"])
            for (series, days) in found {
                for (day, figures) in days.enumerated() {
                    // The newest data is of the tenth day; series 1 lives 6.5 days.
                    let isGone = series == "1" && day < 3
                    #expect(figures.samples == (isGone ? 0 : 20), "\(series) on day \(day)")
                    if isGone { continue }
                    let points = day < 4 ? 2...3 : day < 7 ? 20...20 : 20...20
                    #expect(points.contains(figures.points), "\(series) \(day): \(figures)")
                }
            }
        }
        try check(first)
        try await first.kernel.compactNow()
        try check(first)
        try await first.kernel.cleanDeletions(tenant: "t")
        try await first.kernel.downsampleNow()
        try check(first)
        await first.kernel.stop()
        #expect(
            try StorageCheck.check(
                path: "/data", files: disk, storesBySignal: WholeServer.fresh()
            ).faults == [])
        let second = try server()
        let before = second.kernel.status.work.partsDownsampled
        try await second.kernel.downsampleNow()
        #expect(second.kernel.status.work.partsDownsampled == before)
        try check(second)
        await second.kernel.stop()
    }

    @Test func metadataWithoutSamplesIsKeptAsLongAsSamplesOfItsTime() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let server = try WholeServer(disk, clock: clock) {
            $0.retentionSeconds = 4.5 * WholeRetentionTests.day
        }
        let told = Promise(key: 1, tenant: "t", nanos: clock.wallNanos, isMetadata: true)
        try await server.commit([told])
        try await server.kernel.sealNow()
        var promises = [told]
        for key in 2...6 as ClosedRange<UInt64> {
            clock.advance(seconds: WholeRetentionTests.day)
            promises.append(Promise(key: key, tenant: "t", nanos: clock.wallNanos))
            try await server.commit([promises[promises.count - 1]])
            try await server.kernel.sealNow()
            try await server.kernel.enforceRetention()
            if key < 6 { #expect(server.parts(.metrics) == Int(key)) }
        }
        #expect(server.parts(.metrics) == 5)
        await server.kernel.stop()
        let again = try WholeServer(disk, clock: clock)
        #expect(try again.visible("t").families == [])
        await again.kernel.stop()
    }

    /// Samples of long ago bring metadata of today.
    @Test func metadataDoesNotShareTheAgeOfTheSamplesItCameWith() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let server = try WholeServer(disk, clock: clock) {
            $0.retentionSeconds = 3 * WholeRetentionTests.day
        }
        let old = clock.wallNanos - Int64(4 * WholeRetentionTests.day * 1e9)
        let told = Promise(key: 2, tenant: "t", nanos: clock.wallNanos, isMetadata: true)
        try await server.commit([Promise(key: 1, tenant: "t", nanos: old), told])
        try await server.kernel.sealNow()
        let now = Promise(key: 3, tenant: "t", nanos: clock.wallNanos)
        try await server.commit([now])
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        try #expect(server.breaches([told, now]) == [])
        await server.kernel.stop()
        let again = try WholeServer(disk, clock: clock)
        try #expect(again.breaches([told, now]) == [])
        await again.kernel.stop()
    }

    /// A clock that jumps ahead while only metadata comes in must not make everything look old.
    @Test func metadataDatedByAWrongClockDropsNothing() async throws {
        let disk = FaultyDisk()
        let clock = clock()
        let (server, promises) = try await tenDays(disk, clock) {
            $0.retentionSeconds = 20 * WholeRetentionTests.day
        }
        clock.step(wallSeconds: 400 * WholeRetentionTests.day)
        let told = Promise(key: 11, tenant: "t", nanos: clock.wallNanos, isMetadata: true)
        try await server.commit([told])
        try await server.kernel.sealNow()
        try await server.kernel.enforceRetention()
        try #expect(server.breaches(promises + [told]) == [])
        await server.kernel.stop()
    }
}
