// SPDX-License-Identifier: Apache-2.0
// A target that says what it is told to, and a sink that keeps what it gets.

import Base
import Ingest
import Synchronization
import Telemetry
import TestKit

@testable import Scrape

/// Answers per URL; without one, the connection is refused.
final class FakeFetcher: ScrapeFetching {
    private struct State {
        var answers: [String: ScrapeAnswer] = [:]
        var requests: [ScrapeRequest] = []
        var isHeld = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func answer(
        _ body: String, url: String = "http://h:1/metrics", status: Int = 200,
        reason: String = "OK", type: String = "text/plain; version=0.0.4"
    ) {
        state.withLock {
            $0.answers[url] = ScrapeAnswer(
                status: status, reason: reason, contentType: type, body: Array(body.utf8))
        }
    }

    func answer(protobuf body: [UInt8], url: String = "http://h:1/metrics") {
        let type = "application/vnd.google.protobuf; encoding=delimited"
        state.withLock {
            $0.answers[url] = ScrapeAnswer(status: 200, contentType: type, body: body)
        }
    }

    func refuse(url: String = "http://h:1/metrics") {
        state.withLock { $0.answers[url] = nil }
    }

    /// Requests wait until `letGo`.
    func hold() { state.withLock { $0.isHeld = true } }
    func letGo() {
        let waiting = state.withLock { state in
            state.isHeld = false
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    var requests: [ScrapeRequest] { state.withLock { $0.requests } }

    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        let held = state.withLock { state in
            state.requests.append(request)
            return state.isHeld
        }
        if held {
            await withCheckedContinuation { continuation in
                let goOn = state.withLock { state in
                    if state.isHeld { state.waiting.append(continuation) }
                    return !state.isHeld
                }
                if goOn { continuation.resume() }
            }
        }
        try Task.checkCancellation()
        guard let answer = state.withLock({ $0.answers[request.url] }) else {
            throw ScrapeError.failed("connection refused")
        }
        return answer
    }
}

/// Keeps the batches it is given.
final class FakeSink: ScrapeSink {
    private let state = Mutex<
        (batches: [MetricBatch], tenants: [Tenant], error: IngestError?)
    >(([], [], nil))

    func fail(_ error: IngestError?) { state.withLock { $0.error = error } }
    var batches: [MetricBatch] { state.withLock { $0.batches } }
    /// Of each batch.
    var tenants: [Tenant] { state.withLock { $0.tenants } }
    var count: Int { state.withLock { $0.batches.count } }

    func write(
        metrics: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport {
        let error = state.withLock { state in
            if state.error == nil {
                state.batches.append(metrics)
                state.tenants.append(tenant)
            }
            return state.error
        }
        if let error { throw error }
        return MetricWriteReport()
    }

    /// Samples of the last batch as `name{labels} value @millis`, without the report series.
    var last: [String] { batches.last.map { lines($0) } ?? [] }

    /// The report series of the last batch, without `scrape_duration_seconds`.
    var lastReport: [String: Double] {
        var report: [String: Double] = [:]
        guard let batch = batches.last else { return report }
        for index in batch.sampleSeries.indices {
            let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[index])])
            let name = labels["__name__"] ?? ""
            if isReport(name), name != "scrape_duration_seconds" {
                report[name] = batch.sampleValues[index]
            }
        }
        return report
    }
}

func isReport(_ name: String) -> Bool { name == "up" || name.hasPrefix("scrape_") }

/// Histograms of a batch as `name{labels} count in n buckets of schema s @millis`.
func histogramLines(_ batch: MetricBatch) throws -> [String] {
    try batch.histogramSeries.indices.map { index in
        let labels = batch.arena.labels(batch.series[Int(batch.histogramSeries[index])])
        let rest = labels.pairs.filter { $0.name != "__name__" }
            .map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        let native = try batch.arena.withSlice(batch.histograms[index]) {
            try NativeHistogram(decoding: $0)
        }
        let buckets = native.positiveBuckets.count + native.negativeBuckets.count
        return "\(labels["__name__"] ?? ""){\(rest)} \(floatText(native.count)) in \(buckets) "
            + "buckets of schema \(native.schema) @\(batch.histogramMillis[index])"
    }.sorted()
}

/// Samples of a batch as text, sorted; stale markers have the value `stale`.
func lines(_ batch: MetricBatch, reports: Bool = false) -> [String] {
    batch.sampleSeries.indices.compactMap { index in
        let labels = batch.arena.labels(batch.series[Int(batch.sampleSeries[index])])
        let name = labels["__name__"] ?? ""
        if isReport(name) != reports { return nil }
        let rest = labels.pairs.filter { $0.name != "__name__" }
            .map { "\($0.name)=\($0.value)" }.joined(separator: ",")
        let value = batch.sampleValues[index]
        let text = StaleMarker.isStale(value) ? "stale" : floatText(value)
        return "\(name){\(rest)} \(text) @\(batch.sampleMillis[index])"
    }.sorted()
}

final class FailureList: Sendable {
    private let state = Mutex<[FailedScrape]>([])
    var list: [FailedScrape] { state.withLock { $0 } }
    func add(_ failure: FailedScrape) { state.withLock { $0.append(failure) } }
}

/// One job with one target `h:1`, scraped by hand.
struct Bench {
    let fetcher = FakeFetcher()
    let sink = FakeSink()
    let clock = ManualClock()
    let environment: ScrapeEnvironment
    let loop: ScrapeLoop
    private let told = FailureList()
    /// Failed scrapes that were told.
    var failures: [FailedScrape] { told.list }

    init(_ change: (inout ScrapeConfiguration) -> Void = { _ in }) {
        var environment = ScrapeEnvironment(fetcher: fetcher, sink: sink, clock: clock)
        environment.noteFailure = { [told] in told.add($0) }
        self.environment = environment
        var job = ScrapeConfiguration(jobName: "j")
        job.groups = [TargetGroup(targets: ["h:1"])]
        change(&job)
        let target = makeTargets(job, groups: job.groups).active[0]
        loop = ScrapeLoop(job, target, environment)
    }

    /// Scrapes an answer and returns the samples it wrote.
    func scrape(_ body: String, at millis: Int64) async -> [String] {
        fetcher.answer(body)
        await loop.scrape(millis: millis)
        return sink.last
    }
}

/// Waits for something that tasks of their own bring about; false when it does not come.
func eventually(_ condition: () -> Bool) async -> Bool {
    // A millisecond of rest leaves the cores to those who are waited for.
    for _ in 0..<30_000 {
        if condition() { return true }
        do { try await SystemClock().sleep(seconds: 0.001) } catch { return false }
    }
    return condition()
}

let own = "instance=h:1,job=j"
