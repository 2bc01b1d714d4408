// SPDX-License-Identifier: Apache-2.0
// When series end.

import Ingest
import Synchronization
import Telemetry
import Testing
import Wire

@testable import Scrape

@Test func aSeriesThatVanishesIsMarkedOnce() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    #expect(
        await bench.scrape("a 1\n", at: 2000) == ["a{\(own)} 1 @2000", "b{\(own)} stale @2000"])
    #expect(await bench.scrape("a 1\n", at: 3000) == ["a{\(own)} 1 @3000"])
    #expect(
        await bench.scrape("a 1\nb 2\n", at: 4000) == ["a{\(own)} 1 @4000", "b{\(own)} 2 @4000"])
}

@Test func aFailedScrapeEndsAllSeries() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    bench.fetcher.refuse()
    await bench.loop.scrape(millis: 2000)
    #expect(bench.sink.last == ["a{\(own)} stale @2000", "b{\(own)} stale @2000"])
    #expect(bench.sink.lastReport["up"] == 0)
    #expect(bench.loop.status.health == .down)
    #expect(bench.loop.status.lastError == "connection refused")
    await bench.loop.scrape(millis: 3000)
    #expect(bench.sink.last == [])
    #expect(await bench.scrape("a 1\n", at: 4000) == ["a{\(own)} 1 @4000"])
}

@Test func anAnswerThatBreaksOffEndsAllSeries() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    #expect(
        await bench.scrape("a 1\nb{ 1\n", at: 2000)
            == ["a{\(own)} stale @2000", "b{\(own)} stale @2000"])
    #expect(bench.sink.lastReport["scrape_samples_scraped"] == 1)
    #expect(await bench.scrape("", at: 3000) == [])
}

@Test func anEmptyAnswerIsGoodAndEndsAllSeries() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\n", at: 1000)
    bench.fetcher.answer("", type: "")
    await bench.loop.scrape(millis: 2000)
    #expect(bench.sink.last == ["a{\(own)} stale @2000"])
    #expect(bench.sink.lastReport["up"] == 1)
}

@Test func errorPagesEndAllSeries() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\n", at: 1000)
    bench.fetcher.answer("a 1\n", status: 503, reason: "Service Unavailable")
    await bench.loop.scrape(millis: 2000)
    #expect(bench.sink.last == ["a{\(own)} stale @2000"])
    #expect(bench.loop.status.lastError == "server returned HTTP status 503 Service Unavailable")
}

@Test func samplesWithTheirOwnTimeDoNotEndUnlessTracked() async {
    let plain = Bench()
    _ = await plain.scrape("a 1 500\n", at: 1000)
    #expect(await plain.scrape("", at: 2000) == [])
    let tracking = Bench { $0.trackTimestampsStaleness = true }
    _ = await tracking.scrape("a 1 500\n", at: 1000)
    #expect(await tracking.scrape("", at: 2000) == ["a{\(own)} stale @2000"])
}

@Test func aMarkerThatCouldNotBeStoredIsWrittenLater() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    bench.sink.fail(.unavailable(reason: "disk full", retryAfterSeconds: 1))
    _ = await bench.scrape("a 1\n", at: 2000)
    #expect(bench.loop.status.health == .up)
    #expect(
        bench.loop.status.lastError == "scrape not stored: cannot store data now: disk full")
    #expect(bench.environment.counters.failedWrites.load(ordering: .relaxed) == 1)
    bench.sink.fail(nil)
    #expect(
        await bench.scrape("a 1\n", at: 3000) == ["a{\(own)} 1 @3000", "b{\(own)} stale @3000"])
    #expect(await bench.scrape("a 1\n", at: 4000) == ["a{\(own)} 1 @4000"])
}

@Test func memoryOfVaryingSeriesStaysBounded() async {
    let bench = Bench()
    for round in 0..<40 {
        let text = (0..<100).map { "m{id=\"\(round)-\($0)\"} 1\n" }.joined()
        let lines = await bench.scrape(text, at: Int64(round) * 1000)
        #expect(lines.count == (round == 0 ? 100 : 200))
    }
    var memory = ScrapeMemory()
    for round in 0..<40 {
        memory.begin()
        var batch = MetricBatch()
        var counts = ScrapeCounts()
        let text = (0..<100).map { "m{id=\"\(round)-\($0)\"} 1\n" }.joined()
        let rules = ReadingRules(ScrapeConfiguration(jobName: "j"), bench.loop.target)
        Array(text.utf8).withUnsafeBytes { bytes in
            #expect(throws: Never.self) {
                try memory.read(
                    bytes, .text(.text), millis: 1, rules, into: &batch, counts: &counts)
            }
        }
        memory.finish(isGood: true, isStored: true)
        #expect(memory.textStates.count <= 600)
        #expect(memory.series.count <= 600)
    }
}
