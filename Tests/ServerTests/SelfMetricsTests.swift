// SPDX-License-Identifier: Apache-2.0
// The page of the server's own metrics.

import Base
import Telemetry
import Testing
import Wire

@testable import Server

@Test func histogramsAreCumulativeAndEverythingIsSorted() {
    let metrics = SelfMetrics()
    metrics.declare("h_seconds", .histogram, "Help.", bounds: [0.5, 1])
    metrics.declare("b_total", .counter, "Help.")
    metrics.show("a", .gauge, "Help.", 2.5)
    for value in [0.5, 0.75, 3] { metrics.observe("h_seconds", "route=\"/\"", value) }
    metrics.observe("undeclared", "", 1)
    metrics.add("b_total", "code=\"200\"", 1_234_567_890)
    let expected = """
        # HELP a Help.
        # TYPE a gauge
        a 2.5
        # HELP b_total Help.
        # TYPE b_total counter
        b_total{code="200"} 1.23456789e+09
        # HELP h_seconds Help.
        # TYPE h_seconds histogram
        h_seconds_bucket{route="/",le="0.5"} 1
        h_seconds_bucket{route="/",le="1"} 2
        h_seconds_bucket{route="/",le="+Inf"} 3
        h_seconds_sum{route="/"} 4.25
        h_seconds_count{route="/"} 3

        """
    #expect(String(decoding: metrics.exposition(), as: UTF8.self) == expected)
}

@Test func summariesAndHistogramsThatOthersCount() {
    let metrics = SelfMetrics()
    metrics.replace(
        "s_seconds", "Help.",
        SelfMetrics.Summary(quantiles: [(0.5, .nan), (0.99, 0.25)], sum: 3, count: 7))
    metrics.replace(
        "t_seconds", "Help.", bounds: [0.01, 1],
        SelfMetrics.Distribution(counts: [2, 1, 0], sum: 0.5))
    let expected = """
        # HELP s_seconds Help.
        # TYPE s_seconds summary
        s_seconds{quantile="0.5"} NaN
        s_seconds{quantile="0.99"} 0.25
        s_seconds_sum 3
        s_seconds_count 7
        # HELP t_seconds Help.
        # TYPE t_seconds histogram
        t_seconds_bucket{le="0.01"} 2
        t_seconds_bucket{le="1"} 3
        t_seconds_bucket{le="+Inf"} 3
        t_seconds_sum 0.5
        t_seconds_count 3

        """
    #expect(String(decoding: metrics.exposition(), as: UTF8.self) == expected)
}

@Test func thePageIsReadByOurOwnScraper() throws {
    let metrics = SelfMetrics()
    ProcessMetrics.collect(into: metrics)
    let page = metrics.exposition()
    let decoded = try page.withUnsafeBytes {
        try Exposition.decode($0, .text, scrapeMillis: 1)
    }
    var values: [String: Double] = [:]
    for (index, series) in decoded.batch.sampleSeries.enumerated() {
        let labels = decoded.batch.arena.labels(decoded.batch.series[Int(series)])
        values[labels["__name__"] ?? ""] = decoded.batch.sampleValues[index]
    }
    let start = try #require(values["process_start_time_seconds"])
    let now = Double(SystemClock().wallNanos) / 1e9
    #expect(start > now - 86_400 && start <= now + 2)
    for name in [
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds", "process_virtual_memory_bytes", "process_threads",
    ] {
        #expect((values[name] ?? 0) > 0, "\(name)")
    }
}
