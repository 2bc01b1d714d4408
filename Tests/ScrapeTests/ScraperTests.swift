// SPDX-License-Identifier: Apache-2.0
// Loops over time and over reloads.

import Ingest
import Telemetry
import TestKit
import Testing

@testable import Scrape

private func job(
    _ name: String, _ targets: [String],
    _ change: (inout ScrapeConfiguration) -> Void = { _ in }
) -> ScrapeConfiguration {
    var job = ScrapeConfiguration(jobName: name)
    job.intervalSeconds = 10
    job.groups = [TargetGroup(targets: targets)]
    change(&job)
    return job
}

/// Which loop scrapes `job/url`: a kept loop stays the same object.
private func identities(_ scraper: Scraper) -> [String: ObjectIdentifier] {
    var result: [String: ObjectIdentifier] = [:]
    for loop in scraper.loops {
        result[loop.configuration.jobName + "/" + loop.target.url] = ObjectIdentifier(loop)
    }
    return result
}

/// Moves the clock in steps that let every sleeper run.
private func pass(_ seconds: Double, _ clock: ManualClock, sleepers: Int) async {
    for _ in 0..<Int(seconds * 2) {
        _ = await eventually { clock.sleeperCount >= sleepers }
        clock.advance(seconds: 0.5)
    }
    _ = await eventually { clock.sleeperCount >= sleepers }
}

@Test func scrapesFollowTheGridOfTheTarget() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    await pass(40, bench.clock, sleepers: 1)
    let times = bench.sink.batches.compactMap { $0.sampleMillis.first }
    #expect(times.count == 4)
    #expect(Set(times.map { $0 % 10_000 }).count == 1)
    #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 == 10_000 || $1 - $0 == 10_500 })
    await scraper.shutDown()
    let count = bench.sink.count
    bench.clock.advance(seconds: 60)
    #expect(bench.sink.count == count)
}

@Test func aReloadKeepsUnchangedLoops() async {
    let bench = Bench()
    for host in ["h:1", "h:2"] { bench.fetcher.answer("a 1\n", url: "http://\(host)/metrics") }
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1", "h:2"]), job("k", ["h:1"])])
    let before = identities(scraper)
    scraper.apply([job("j", ["h:1"]), job("k", ["h:1"]) { $0.sampleLimit = 9 }])
    let after = identities(scraper)
    #expect(after["j/http://h:1/metrics"] == before["j/http://h:1/metrics"])
    #expect(after["j/http://h:2/metrics"] == nil)
    #expect(after["k/http://h:1/metrics"] != before["k/http://h:1/metrics"])
    #expect(scraper.poolNames == ["j", "k"])
    await scraper.shutDown()
}

@Test func aRemovedTargetIsMarkedAfterTwoIntervals() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    await pass(11, bench.clock, sleepers: 1)
    let count = bench.sink.count
    #expect(count >= 1)
    scraper.apply([])
    await pass(10.5, bench.clock, sleepers: 1)
    #expect(bench.sink.count == count)
    await pass(12, bench.clock, sleepers: 0)
    #expect(await eventually { bench.sink.count == count + 1 })
    #expect(bench.sink.last.map { $0.split(separator: "@")[0] } == ["a{\(own)} stale "])
    let batch = bench.sink.batches[count]
    #expect(lines(batch, reports: true).count == 5)
    #expect(lines(batch, reports: true).allSatisfy { $0.contains("stale") })
    // The time is that of the first scrape that did not come.
    let last = bench.sink.batches[count - 1].sampleMillis[0]
    #expect(batch.sampleMillis.allSatisfy { $0 > last && $0 <= last + 11_000 })
    await scraper.shutDown()
}

@Test func aJobOfAnotherTenantEndsItsSeriesForTheFirst() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"]) { $0.tenant = Tenant("red") }])
    await pass(11, bench.clock, sleepers: 1)
    let before = bench.sink.count
    scraper.apply([job("j", ["h:1"]) { $0.tenant = Tenant("blue") }])
    await pass(40, bench.clock, sleepers: 1)
    let batches = zip(bench.sink.batches, bench.sink.tenants)
    #expect(batches.prefix(before).allSatisfy { $1 == Tenant("red") })
    let red = batches.dropFirst(before).filter { $1 == Tenant("red") }.flatMap { lines($0.0) }
    #expect(red.count == 1 && red[0].hasPrefix("a{\(own)} stale"))
    let blue = batches.dropFirst(before).filter { $1 == Tenant("blue") }.flatMap { lines($0.0) }
    #expect(blue.count >= 3 && blue.allSatisfy { $0.hasPrefix("a{\(own)} 1 ") })
    await scraper.shutDown()
}

@Test func aTargetThatComesBackInTimeIsNotMarked() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\nb 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    await pass(11, bench.clock, sleepers: 1)
    scraper.apply([])
    await pass(5, bench.clock, sleepers: 1)
    // Another path, the same labels: its first scrape ends what it does not bring.
    bench.fetcher.answer("a 2\n", url: "http://h:1/other")
    scraper.apply([job("j", ["h:1"]) { $0.metricsPath = "/other" }])
    let before = bench.sink.count
    await pass(40, bench.clock, sleepers: 1)
    let all = bench.sink.batches[before...].flatMap { lines($0) }
    #expect(all.filter { $0.contains("stale") }.count == 1)
    #expect(all.contains { $0.hasPrefix("b{\(own)} stale") })
    await scraper.shutDown()
}

@Test func aChangedJobGoesOnWithWhatItKnew() async throws {
    let bench = Bench()
    bench.fetcher.answer("a 1\nb 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    await pass(11, bench.clock, sleepers: 1)
    var rule = RelabelRule.Definition()
    rule.sourceLabels = ["__name__"]
    rule.regex = "b"
    rule.action = "drop"
    let rules = [try RelabelRule(rule)]
    let before = bench.sink.count
    scraper.apply([job("j", ["h:1"]) { $0.metricRelabelRules = rules }])
    await pass(11, bench.clock, sleepers: 1)
    #expect(bench.sink.count > before)
    let first = lines(bench.sink.batches[before])
    #expect(first.map { $0.split(separator: "@")[0] } == ["a{\(own)} 1 ", "b{\(own)} stale "])
    await scraper.shutDown()
}

@Test func aReloadLetsTheScrapeUnderWayEnd() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    bench.fetcher.hold()
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    #expect(await eventually { bench.clock.sleeperCount == 1 })
    bench.clock.advance(seconds: 10)
    #expect(await eventually { bench.fetcher.requests.count == 1 })
    scraper.apply([])
    bench.fetcher.letGo()
    #expect(await eventually { bench.sink.count == 1 })
    #expect(bench.sink.lastReport["up"] == 1)
    await scraper.shutDown()
}

@Test func shuttingDownWritesNothing() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"])])
    await pass(11, bench.clock, sleepers: 1)
    bench.fetcher.hold()
    let requests = bench.fetcher.requests.count
    bench.clock.advance(seconds: 10)
    #expect(await eventually { bench.fetcher.requests.count == requests + 1 })
    let count = bench.sink.count
    async let ended: Void = scraper.shutDown()
    bench.fetcher.letGo()
    await ended
    #expect(bench.sink.count == count)
    scraper.apply([job("j", ["h:1"])])
    #expect(scraper.activeTargets.count == 1)
}

@Test func droppedTargetsAreRememberedAndCounted() async throws {
    var rule = RelabelRule.Definition()
    rule.sourceLabels = ["__address__"]
    rule.regex = "h:[12]"
    rule.action = "drop"
    let rules = [try RelabelRule(rule)]
    let bench = Bench()
    let scraper = Scraper(bench.environment)
    let errors = scraper.apply([
        job("j", ["h:1", "h:2", "h:3", "a/b"]) { job in
            job.relabelRules = rules
            job.keepDroppedTargets = 1
        }
    ])
    #expect(errors == ["job \"j\": target a/b: \"a/b\" is not a valid hostname"])
    #expect(scraper.activeTargets.map(\.target.url) == ["http://h:3/metrics"])
    #expect(scraper.droppedTargets.map { $0.discovered["__address__"] } == ["h:1"])
    #expect(scraper.droppedCounts.map(\.count) == [2])
    await scraper.shutDown()
}

@Test func theEmbeddedJobIsScrapedOnStart() async {
    let bench = Bench()
    bench.fetcher.answer("a 1\n")
    let scraper = Scraper(bench.environment)
    scraper.apply([job("j", ["h:1"]) { $0.scrapesOnStart = true }])
    #expect(await eventually { bench.sink.count == 1 })
    await pass(10, bench.clock, sleepers: 1)
    #expect(await eventually { bench.sink.count == 2 })
    await scraper.shutDown()
}
