// SPDX-License-Identifier: Apache-2.0
// What becomes of an answer's samples.

import Base
import Ingest
import Telemetry
import Testing

@testable import Scrape

@Test func samplesGetTheTargetsLabelsAndTheTimeOfTheScrape() async {
    let bench = Bench()
    let lines = await bench.scrape("b 2\na{x=\"1\"} 1\na{x=\"2\"} 3 5000\n", at: 1000)
    #expect(
        lines == [
            "a{\(own),x=1} 1 @1000", "a{\(own),x=2} 3 @5000", "b{\(own)} 2 @1000",
        ])
    #expect(
        bench.sink.lastReport == [
            "up": 1, "scrape_samples_scraped": 3, "scrape_samples_post_metric_relabeling": 3,
            "scrape_series_added": 3,
        ])
    #expect(bench.loop.status.health == .up)
    #expect(bench.loop.status.lastError == "")
}

@Test func knownSeriesAreNotCountedAsAdded() async {
    let bench = Bench()
    _ = await bench.scrape("a 1\nb 1\n", at: 1000)
    _ = await bench.scrape("a 1\nb 1\nc 1\n", at: 2000)
    #expect(bench.sink.lastReport["scrape_series_added"] == 1)
    _ = await bench.scrape("a 1\nb 1\nc 1\n", at: 3000)
    #expect(bench.sink.lastReport["scrape_series_added"] == 0)
    // One that was gone is new when it is back; a scrape that failed makes nothing new.
    _ = await bench.scrape("b 1\n", at: 4000)
    _ = await bench.scrape("a 1\nb 1\n", at: 5000)
    #expect(bench.sink.lastReport["scrape_series_added"] == 1)
    _ = await bench.scrape("a 1\nb\n", at: 6000)
    #expect(bench.sink.lastReport["up"] == 0)
    _ = await bench.scrape("a 1\nb 1\n", at: 7000)
    #expect(bench.sink.lastReport["scrape_series_added"] == 0)
}

@Test func conflictingLabelsAreExportedUnlessHonoured() async {
    let text = "a{job=\"x\",exported_job=\"y\",instance=\"\"} 1\n"
    let plain = Bench()
    #expect(
        await plain.scrape(text, at: 1)
            == ["a{exported_exported_job=x,exported_job=y,\(own)} 1 @1"])
    let honouring = Bench { $0.honorLabels = true }
    // An empty label keeps the target's one away: a push gateway's groups have no instance.
    #expect(await honouring.scrape(text, at: 1) == ["a{exported_job=y,job=x} 1 @1"])
}

@Test func statedTimesCountOnlyWhereHonoured() async {
    let bench = Bench { $0.honorTimestamps = false }
    #expect(await bench.scrape("a 1 77\n", at: 1000) == ["a{\(own)} 1 @1000"])
}

@Test func metricRelabellingChangesAndDropsSeries() async throws {
    var drop = RelabelRule.Definition()
    drop.sourceLabels = ["__name__"]
    drop.regex = "noise.*"
    drop.action = "drop"
    var rename = RelabelRule.Definition()
    rename.sourceLabels = ["x"]
    rename.targetLabel = "y"
    let rules = [try RelabelRule(drop), try RelabelRule(rename)]
    let bench = Bench { $0.metricRelabelRules = rules }
    for millis in [Int64(1000), 2000] {
        let lines = await bench.scrape("noise_1 1\na{x=\"v\"} 1\n", at: millis)
        #expect(lines == ["a{\(own),x=v,y=v} 1 @\(millis)"])
        #expect(bench.sink.lastReport["scrape_samples_scraped"] == 2)
        #expect(bench.sink.lastReport["scrape_samples_post_metric_relabeling"] == 1)
    }
}

@Test func ofTwoSamplesOfASeriesTheFirstStays() async {
    let bench = Bench()
    for millis in [Int64(1000), 2000] {
        #expect(await bench.scrape("a 1\na 2\n", at: millis) == ["a{\(own)} 1 @\(millis)"])
        #expect(bench.sink.lastReport["scrape_samples_post_metric_relabeling"] == 2)
    }
    // With times of their own they are two samples.
    #expect(
        await bench.scrape("t 1 10\nt 2 20\na 1\n", at: 3000)
            == ["a{\(own)} 1 @3000", "t{\(own)} 1 @10", "t{\(own)} 2 @20"])
}

@Test func openMetricsBringsExemplarsUnitsAndCreatedSeries() async {
    let bench = Bench()
    bench.fetcher.answer(
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds text\n"
            + "a_seconds_total 3 # {trace_id=\"ab\"} 0.5 12.5\na_seconds_created 1.5\n# EOF\n",
        type: "application/openmetrics-text; version=1.0.0; charset=utf-8")
    await bench.loop.scrape(millis: 1000)
    #expect(
        bench.sink.last == [
            "a_seconds_created{\(own)} 1.5 @1000", "a_seconds_total{\(own)} 3 @1000",
        ])
    let batch = bench.sink.batches[0]
    #expect(batch.exemplarMillis == [12_500])
    #expect(batch.exemplarValues == [0.5])
    #expect(batch.sampleStartMillis.contains(1500))
    #expect(
        bench.loop.metadata == [
            TargetMetadata(family: "a_seconds", type: .counter, help: "text", unit: "seconds")
        ])
    #expect(batch.metadata.count == 1)
}

@Test func metadataIsWrittenWhenItChanges() async {
    let bench = Bench()
    _ = await bench.scrape("# TYPE a gauge\n# HELP a one\na 1\n", at: 1000)
    #expect(bench.sink.batches.last?.metadata.count == 1)
    _ = await bench.scrape("# TYPE a gauge\n# HELP a one\na 1\n", at: 2000)
    #expect(bench.sink.batches.last?.metadata.isEmpty == true)
    _ = await bench.scrape("# TYPE a gauge\n# HELP a two\na 1\n", at: 3000)
    #expect(bench.sink.batches.last?.metadata.count == 1)
    // What could not be stored is still to be written.
    bench.sink.fail(.overloaded(retryAfterSeconds: 1))
    _ = await bench.scrape("# TYPE a gauge\n# HELP a three\na 1\n", at: 4000)
    bench.sink.fail(nil)
    _ = await bench.scrape("# TYPE a gauge\n# HELP a three\na 1\n", at: 5000)
    #expect(bench.sink.batches.last?.metadata.count == 1)
}

@Test func leIsOneNumberHoweverItIsWritten() async {
    let bench = Bench()
    let lines = await bench.scrape("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n", at: 1)
    #expect(lines == ["h_bucket{\(own),le=1.0} 1 @1"])
}

@Test func theContentTypeDecidesHowAnAnswerIsRead() async {
    let cases: [(type: String, fallback: ScrapeProtocol?, error: String?)] = [
        ("text/plain", nil, nil), ("Text/Plain; charset=utf-8", nil, nil),
        ("application/openmetrics-text", nil, "data does not end with # EOF"),
        (
            "", nil,
            "non-compliant scrape target sending blank Content-Type and no "
                + "fallback_scrape_protocol specified for target"
        ),
        (
            "text/html", nil,
            "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol "
                + "specified for target"
        ),
        ("text/html", .text004, nil), ("", .text100, nil),
        ("", .openMetrics100, "data does not end with # EOF"),
    ]
    for test in cases {
        let bench = Bench { $0.fallbackProtocol = test.fallback }
        bench.fetcher.answer("a 1\n", type: test.type)
        await bench.loop.scrape(millis: 1)
        #expect(bench.loop.status.lastError == test.error ?? "", "\(test.type)")
        #expect(bench.sink.lastReport["up"] == (test.error == nil ? 1 : 0))
    }
}

@Test func aRequestSaysWhatItTakesAndHowLongItWaits() async {
    let bench = Bench { job in
        job.timeoutSeconds = 2.5
        job.client = ClientOptions("as the client understands it")
        job.parameters = [.init("b", ["2", "3"]), .init("a", ["x y"])]
        job.bodySizeLimitBytes = 99
    }
    await bench.loop.scrape(millis: 1)
    let request = bench.fetcher.requests[0]
    let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.name, $0.value) })
    #expect(
        headers["Accept"]
            == "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            + "application/openmetrics-text;version=0.0.1;q=0.5,"
            + "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            + "text/plain;version=0.0.4;q=0.3,*/*;q=0.2")
    #expect(headers["Accept-Encoding"] == "gzip")
    #expect(headers["X-Prometheus-Scrape-Timeout-Seconds"] == "2.5")
    #expect(headers["User-Agent"] == "Tern/" + Base.version)
    #expect(request.client == ClientOptions("as the client understands it"))
    #expect(request.url == "http://h:1/metrics?a=x+y&b=2&b=3")
    #expect(request.timeoutSeconds == 2.5)
    #expect(request.bodyLimitBytes == 99)
}
