// SPDX-License-Identifier: Apache-2.0
// Metrics that jobs push before they end.

import Base
import Telemetry
import TestKit
import Testing
import Wire

@testable import Ingest

@Suite struct PushGroupsTests {
    private func families(
        _ text: String, _ grouping: [(name: String, value: String)]
    ) throws -> [PushedFamily] {
        var text = text
        return try text.withUTF8 {
            try PushedFamilies.decode(UnsafeRawBufferPointer($0), .text, grouping: grouping)
        }
    }

    private func push(
        _ text: String, _ job: String, to groups: PushGroups, replacesAll: Bool = true,
        at millis: Int64 = 1000
    ) throws {
        let grouping = [(name: "job", value: job)]
        try groups.push(
            try families(text, grouping), grouping: grouping, tenant: .anonymous,
            replacesAll: replacesAll, millis: millis)
    }

    /// What is exposed, sorted, markers as `stale`.
    private func exposed(_ groups: PushGroups, at millis: Int64 = 5000) -> [String] {
        groups.expose(millis: millis).flatMap { exposure in
            defer { groups.stored(exposure) }
            let batch = exposure.batch
            return batch.sampleSeries.indices.map { i in
                let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[i])])
                let value = batch.sampleValues[i]
                #expect(batch.sampleMillis[i] == millis)
                return (labels["__name__"] ?? "") + "/" + (labels["job"] ?? "") + " "
                    + (StaleMarker.isStale(value) ? "stale" : floatText(value))
            }
        }.sorted()
    }

    @Test func pushesReplaceAndAdd() throws {
        let groups = PushGroups("/data/pushed", files: FaultyDisk())
        try push("a 1\nb 2\n", "x", to: groups)
        #expect(
            exposed(groups)
                == ["a/x 1", "b/x 2", "push_failure_time_seconds/x 0", "push_time_seconds/x 1"])
        try push("b 3\n", "x", to: groups, replacesAll: false, at: 2000)
        try push("a 9\n", "y", to: groups)
        #expect(exposed(groups).prefix(3) == ["a/x 1", "a/y 9", "b/x 3"])
        try push("b 4\n", "x", to: groups, at: 3000)
        #expect(exposed(groups).prefix(3) == ["a/x stale", "a/y 9", "b/x 4"])
        // The marker is written once.
        #expect(exposed(groups).prefix(2) == ["a/y 9", "b/x 4"])
        try groups.delete(grouping: [("job", "y")], tenant: .anonymous)
        try groups.delete(grouping: [("job", "never")], tenant: .anonymous)
        #expect(exposed(groups).filter { $0.hasSuffix("stale") }.count == 3)
        #expect(groups.groupCount == 1)
    }

    @Test func markersWaitUntilTheyAreStored() throws {
        let groups = PushGroups("/data/pushed", files: FaultyDisk())
        try push("a 1\n", "x", to: groups)
        try groups.delete(grouping: [("job", "x")], tenant: .anonymous)
        let exposure = try #require(groups.expose(millis: 5000).first)
        #expect(exposure.batch.sampleSeries.count == 3)
        #expect(groups.expose(millis: 6000).first?.batch.sampleSeries.count == 3)
        // A series that is back needs none.
        try push("a 2\n", "x", to: groups)
        #expect(!exposed(groups).contains("a/x stale"))
    }

    @Test func contradictionsAreRefusedAndRemembered() throws {
        let groups = PushGroups("/data/pushed", files: FaultyDisk())
        try push("# TYPE a counter\na 1\n", "x", to: groups)
        #expect(throws: PushGroups.Failure.self) {
            try push("# TYPE a gauge\na 1\n", "y", to: groups, at: 7000)
        }
        #expect(
            exposed(groups).suffix(4) == [
                "push_failure_time_seconds/x 0", "push_failure_time_seconds/y 7",
                "push_time_seconds/x 1", "push_time_seconds/y 0",
            ])
        // The same series under another key.
        let key = [(name: "job", value: "x"), (name: "i", value: "1")]
        try groups.push(
            try families("m 1\n", key), grouping: key, tenant: .anonymous, replacesAll: true,
            millis: 1)
        #expect(throws: PushGroups.Failure.self) { try push("m{i=\"1\"} 1\n", "x", to: groups) }
        // Other tenants are none of their business.
        try groups.push(
            try families("# TYPE a gauge\na 1\n", key), grouping: key, tenant: Tenant("other"),
            replacesAll: true, millis: 1)
    }

    @Test func groupsSurviveARestart() throws {
        let disk = FaultyDisk()
        let groups = PushGroups("/data/pushed", files: disk)
        try push(
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n", "x", to: groups)
        try push("a 1\n", "y", to: groups)
        try groups.delete(grouping: [("job", "y")], tenant: .anonymous)
        let before = exposed(groups).filter { !$0.hasSuffix("stale") }
        var reports: [String] = []
        let again = PushGroups("/data/pushed", files: disk) { reports.append($0) }
        #expect(reports == [])
        #expect(exposed(again) == before && again.groupCount == 1)
        // A damaged file is reported and left alone.
        let name = try #require(try disk.list("/data/pushed").first)
        let file = try disk.create("/data/pushed/" + name)
        try file.write([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]], at: 0)
        file.close()
        let damaged = PushGroups("/data/pushed", files: disk) { reports.append($0) }
        #expect(reports.count == 1 && damaged.groupCount == 0)
        #expect(try disk.list("/data/pushed") == [name])
    }

    @Test func whatIsAnsweredSurvivesAPowerCut() throws {
        for seed in 1...40 as ClosedRange<UInt64> {
            let disk = FaultyDisk(seed: seed)
            try disk.makeDirectory("/data")
            try disk.syncDirectory("/")
            let groups = PushGroups("/data/pushed", files: disk)
            try push("a 1\n", "x", to: groups)
            try push("a 1\n", "y", to: groups)
            try push("a 2\nb 3\n", "x", to: groups)
            try groups.delete(grouping: [("job", "y")], tenant: .anonymous)
            let wanted = exposed(groups).filter { !$0.hasSuffix("stale") }
            var reports: [String] = []
            let cut = disk.afterPowerCut(seed: seed)
            let again = PushGroups("/data/pushed", files: cut) { reports.append($0) }
            #expect(exposed(again) == wanted && reports.isEmpty)
            // A push that fails half-way leaves what was there, or what was pushed: never a ruin.
            disk.failRandomly(0.3)
            let isTaken = (try? push("a 9\n", "x", to: groups)) != nil
            let torn = PushGroups("/data/pushed", files: disk.afterPowerCut(seed: seed)) {
                reports.append($0)
            }
            let found = exposed(torn)
            #expect(reports.isEmpty)
            #expect(found.first == "a/x 9" || !isTaken && found == wanted)
        }
    }

    @Test func boundsAreKept() throws {
        var limits = PushLimits()
        limits.groups = 1
        limits.bytes = 2000
        let groups = PushGroups("/data/pushed", files: FaultyDisk(), limits: limits)
        try push("a 1\n", "x", to: groups)
        #expect(throws: PushGroups.Failure.self) { try push("b 1\n", "y", to: groups) }
        let many = (0..<100).map { "m\($0) 1\n" }.joined()
        #expect(throws: PushGroups.Failure.self) { try push(many, "x", to: groups) }
        #expect(exposed(groups).contains("a/x 1"))
    }

    @Test func damagedGroupsNeverCrash() throws {
        var group = PushGroup(tenant: "t", grouping: [("job", "x")])
        for family in try families("a 1\nb 2\n", [("job", "x")]) {
            group.families[family.name] = family
        }
        let bytes = group.encoded()
        let copy = try bytes.withUnsafeBytes { try PushGroup(decoding: $0) }
        #expect(copy.series == group.series && copy.key == group.key)
        for i in bytes.indices {
            var damaged = bytes
            damaged[i] ^= 0x40
            #expect(throws: MalformedBytes.self) {
                _ = try damaged.withUnsafeBytes { try PushGroup(decoding: $0) }
            }
            // With the right checksum nothing but the content is left to be checked.
            let body = Array(damaged.dropLast(4))
            var writer = ByteWriter()
            writer.raw(body)
            writer.u32(crc32c(body))
            _ = writer.bytes.withUnsafeBytes { try? PushGroup(decoding: $0) }
            _ = bytes.prefix(i).withUnsafeBytes { try? PushGroup(decoding: $0) }
        }
    }
}
