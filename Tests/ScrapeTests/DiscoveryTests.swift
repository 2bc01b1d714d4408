// SPDX-License-Identifier: Apache-2.0
// The engine: what it runs, gathers and hands on.

import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Scrape

private func http(_ url: String, seconds: Double = 60) -> DiscoveryConfiguration {
    var settings = HTTPDiscoverySettings()
    settings.url = url
    settings.refreshSeconds = seconds
    return DiscoveryConfiguration(.http(settings))
}

@Test func targetsComeFromAnHTTPEndpoint() async {
    let bench = DiscoveryBench()
    bench.api.handle { _ in
        json(#"[{"targets":["a:1","b:2"],"labels":{"x":"y"}},{"targets":["c:3"]}]"#)
    }
    let discovery = bench.discovery()
    discovery.apply(["job": [http("http://sd/")]])
    #expect(await bench.run { bench.count() == 1 })
    #expect(bench.addresses() == ["a:1", "b:2", "c:3"])
    #expect(labels(bench.last()?.first)["x"] == "y")
    #expect(labels(bench.last()?.first)["__meta_url"] == "http://sd/")
    let request = bench.api.requests.first
    #expect(
        request?.headers.contains(NamedText("X-Prometheus-Refresh-Interval-Seconds", "60")) == true)
    let metrics = discovery.environment.metrics
    #expect(
        metrics.value(
            .discoveredTargets, [NamedText("name", "scrape"), NamedText("config", "job")])
            == 3)
    await discovery.shutDown()
}

@Test func whatFailsKeepsTheTargetsItHad() async {
    let bench = DiscoveryBench()
    let turn = Mutex(0)
    bench.api.handle { _ in
        switch turn.withLock({ turn in
            turn += 1
            return turn
        }) {
        case 1: return json(#"[{"targets":["a:1"]}]"#)
        case 2: return DiscoveryAnswer(status: 500, reason: "Internal Server Error")
        case 3:
            var answer = json("[]")
            answer.headers = [NamedText("Content-Type", "text/html")]
            return answer
        case 4: return json(#"[{"targets":["a:1"],"label":{}}]"#)
        case 5: return json("[null]")
        default: return json(#"[{"targets":["b:1"]}]"#)
        }
    }
    let discovery = bench.discovery()
    discovery.apply(["job": [http("http://sd/", seconds: 10)]])
    #expect(await bench.run { bench.count() == 2 })
    #expect(bench.delivered.withLock { $0["job"]?.map(addressesOf) } == [["a:1"], ["b:1"]])
    #expect(
        bench.notes.withLock { $0 } == [
            "targets not refreshed: server returned HTTP status 500 Internal Server Error",
            "targets not refreshed: unsupported content type \"text/html\"",
            "targets not refreshed: unknown field \"label\" in target group 0",
            "targets not refreshed: nil target group item found",
        ])
    let labels = [NamedText("mechanism", "http"), NamedText("config", "job")]
    #expect(discovery.environment.metrics.value(.refreshFailures, labels) == 4)
    #expect(discovery.environment.metrics.value(.httpFailures) == 4)
    await discovery.shutDown()
}

@Test func equalEntriesAreOneDiscovery() async {
    let bench = DiscoveryBench()
    bench.api.handle { _ in json(#"[{"targets":["a:1"]}]"#) }
    let discovery = bench.discovery()
    discovery.apply(["one": [http("http://sd/")], "two": [http("http://sd/")]])
    #expect(await bench.run { bench.count("one") == 1 && bench.count("two") == 1 })
    #expect(bench.api.requests.count == 1)
    // A further user of it has the targets at once.
    discovery.apply(["two": [http("http://sd/")], "three": [http("http://sd/")]])
    #expect(await bench.run { bench.count("three") == 1 })
    #expect(bench.addresses("three") == ["a:1"])
    #expect(bench.count("one") == 1)
    await discovery.shutDown()
}

@Test func aChangedEntryKeepsTheTargetsUntilItsFirstAnswer() async {
    let bench = DiscoveryBench()
    bench.api.handle { _ in json(#"[{"targets":["a:1"]}]"#) }
    let discovery = bench.discovery()
    discovery.apply(["job": [http("http://sd/")]])
    #expect(await bench.run { bench.count() == 1 })
    discovery.apply(["job": [http("http://sd/", seconds: 30)]])
    #expect(await bench.run { bench.count() == 2 })
    // Never an empty list in between.
    #expect(bench.delivered.withLock { $0["job"]?.map(addressesOf) } == [["a:1"], ["a:1"]])
    await discovery.shutDown()
}

@Test func anEntryThatNeverAnswersHoldsUpNobodyForLong() async {
    let bench = DiscoveryBench()
    bench.api.handle { request in
        if request.url == "http://dead/" { try await Task.sleep(nanoseconds: 1 << 60) }
        return json(#"[{"targets":["a:1"]}]"#)
    }
    let discovery = bench.discovery()
    discovery.apply(["job": [http("http://sd/"), http("http://dead/")]])
    #expect(await bench.run { bench.count() == 1 })
    #expect(bench.addresses() == ["a:1"])
    await discovery.shutDown()
}

@Test func changesAreGathered() async {
    let bench = DiscoveryBench()
    let turn = Mutex(0)
    bench.api.handle { _ in
        let number = turn.withLock { turn in
            turn += 1
            return turn
        }
        return json(#"[{"targets":["a:\#(number)"]}]"#)
    }
    let discovery = bench.discovery()
    discovery.apply(["job": [http("http://sd/", seconds: 0.1)]])
    #expect(await bench.run { bench.clock.monotonicNanos > 60_000_000_000 })
    // Hundreds of answers in a minute, and a dozen hand-overs.
    #expect(turn.withLock { $0 } > 100)
    #expect(bench.count() < 30)
    await discovery.shutDown()
}

@Test func oneLeavingSetTakesNothingFromTheOthers() async {
    let bench = DiscoveryBench()
    bench.api.handle { _ in json(#"[{"targets":["a:1"]}]"#) }
    let discovery = bench.discovery()
    discovery.apply(["one": [http("http://sd/")], "two": [http("http://sd/2")]])
    #expect(await bench.run { bench.count("one") == 1 && bench.count("two") == 1 })
    discovery.apply(["two": [http("http://sd/2")]])
    let metrics = discovery.environment.metrics
    func value(_ set: String) -> Double {
        metrics.value(.discoveredTargets, [NamedText("name", "scrape"), NamedText("config", set)])
    }
    #expect(value("one") == 0)
    #expect(value("two") == 1)
    await discovery.shutDown()
}

@Test func discoveredTargetsAreScrapedWithTheListedOnes() {
    let sink = FakeSink()
    let scraper = Scraper(
        ScrapeEnvironment(fetcher: FakeFetcher(), sink: sink, clock: ManualClock()))
    func addresses() -> [String] {
        scraper.activeTargets.map { $0.target.labels["instance"] ?? "" }
    }
    var job = ScrapeConfiguration(jobName: "job")
    job.groups = [TargetGroup(targets: ["s:1"])]
    job.discoveries = [http("http://sd/")]
    scraper.apply([job])
    let found = TargetGroup(
        source: "x", targets: [[NamedText("__address__", "d:1"), NamedText("own", "1")]],
        labels: [NamedText("own", "2"), NamedText("shared", "3"), NamedText("job", "other")])
    scraper.update(job: "job", discovered: [found])
    #expect(addresses() == ["s:1", "d:1"])
    let labels = scraper.activeTargets.last?.target.labels
    #expect(labels?["own"] == "1")
    #expect(labels?["shared"] == "3")
    #expect(labels?["job"] == "other")
    let loops = scraper.loops.map { ObjectIdentifier($0) }
    // A reload keeps them, and the loops of both.
    job.targetLimit = 7
    scraper.apply([job])
    #expect(scraper.loops.map { ObjectIdentifier($0) } == loops)
    job.discoveries = []
    scraper.apply([job])
    #expect(addresses() == ["s:1"])
    // What a discovery that has gone says late counts no more, and nobody knows this job.
    scraper.update(job: "job", discovered: [found])
    scraper.update(job: "nobody", discovered: [found])
    #expect(addresses() == ["s:1"])
}
