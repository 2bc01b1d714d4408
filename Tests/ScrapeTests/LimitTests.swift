// SPDX-License-Identifier: Apache-2.0
// Limits that fail a scrape as a whole.

import Synchronization
import Telemetry
import TestKit
import Testing

@testable import Scrape

@Test func tooManySamplesFailTheScrapeAndAreCounted() async {
    let bench = Bench { $0.sampleLimit = 2 }
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    #expect(bench.sink.lastReport["up"] == 1)
    let lines = await bench.scrape("a 1\nb 1\nc 1\nd 1\n", at: 2000)
    #expect(lines == ["a{\(own)} stale @2000", "b{\(own)} stale @2000"])
    #expect(bench.loop.status.lastError == "sample limit exceeded")
    #expect(
        bench.sink.lastReport == [
            "up": 0, "scrape_samples_scraped": 4, "scrape_samples_post_metric_relabeling": 4,
            "scrape_series_added": 0,
        ])
    #expect(bench.environment.counters.sampleLimitExceeded.load(ordering: .relaxed) == 1)
}

@Test func labelLimitsNameTheSeries() async {
    let text = "metric_a{abc=\"12345\"} 1\n"
    let cases: [(change: (inout ScrapeConfiguration) -> Void, error: String)] = [
        (
            { $0.labelLimit = 3 },
            "label_limit exceeded (metric: metric_a, number of labels: 4, limit: 3)"
        ),
        ({ $0.labelLimit = 4 }, ""),
        (
            { $0.labelNameLengthLimit = 7 },
            "label_name_length_limit exceeded (metric: metric_a, label name: __name__, length: 8, "
                + "limit: 7)"
        ),
        (
            { $0.labelValueLengthLimit = 4 },
            "label_value_length_limit exceeded (metric: metric_a, label name: __name__, value: "
                + "\"metric_a\", length: 8, limit: 4)"
        ),
        ({ $0.labelValueLengthLimit = 8 }, ""),
    ]
    for test in cases {
        let bench = Bench(test.change)
        // The second scrape must not find the refused series in its memory.
        for millis in [Int64(1000), 2000] {
            _ = await bench.scrape(text, at: millis)
            #expect(bench.loop.status.lastError == test.error)
            #expect(bench.sink.lastReport["up"] == (test.error.isEmpty ? 1 : 0))
        }
    }
}

@Test func aBodyAsLargeAsTheLimitIsTooLarge() async {
    let bench = Bench { job in
        job.bodySizeLimitBytes = 4
        job.extraScrapeMetrics = true
        job.sampleLimit = 7
    }
    _ = await bench.scrape("a 1\n", at: 1000)
    #expect(bench.loop.status.lastError == "body size limit exceeded")
    #expect(bench.sink.lastReport["scrape_body_size_bytes"] == -1)
    _ = await bench.scrape("a 1", at: 2000)
    #expect(bench.loop.status.lastError == "")
    #expect(bench.sink.lastReport["scrape_body_size_bytes"] == 3)
    #expect(bench.sink.lastReport["scrape_sample_limit"] == 7)
    #expect(bench.sink.lastReport["scrape_timeout_seconds"] == 10)
}

@Test func tooManyTargetsFailEachOfThem() async {
    let bench = Bench()
    let scraper = Scraper(bench.environment)
    var job = ScrapeConfiguration(jobName: "j")
    job.groups = [TargetGroup(targets: ["h:1", "h:2"])]
    job.targetLimit = 1
    scraper.apply([job])
    #expect(await eventually { bench.clock.sleeperCount == 2 })
    bench.clock.advance(seconds: 60)
    #expect(await eventually { bench.sink.count == 2 })
    for batch in bench.sink.batches {
        #expect(lines(batch, reports: true).contains { $0.hasPrefix("up{") && $0.contains("} 0 ") })
    }
    #expect(bench.fetcher.requests.isEmpty)
    #expect(
        scraper.activeTargets.map(\.status.lastError) == [
            "target_limit exceeded (number of targets: 2, limit: 1)",
            "target_limit exceeded (number of targets: 2, limit: 1)",
        ])
    await scraper.shutDown()
}

@Test func duplicateLabelNamesFailTheScrape() async {
    let bench = Bench()
    _ = await bench.scrape("a{x=\"1\",x=\"2\"} 1\n", at: 1)
    #expect(bench.loop.status.lastError == "label name \"x\" is not unique: invalid sample")
}
