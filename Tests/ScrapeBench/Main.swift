// SPDX-License-Identifier: Apache-2.0
// What a scrape costs without HTTP and store: for profiles, and for figures before and after a change.

import Base
import Glibc
import Ingest
import Scrape
import Synchronization
import Telemetry
import TestKit

/// Answers with one of several pages in turn: the same series, other values.
final class Pages: ScrapeFetching {
    private let pages: [[UInt8]]
    private let type: String
    private let next = Atomic<Int>(0)

    init(_ page: [UInt8], openMetrics: Bool) {
        pages = (0..<8).map { variant($0, of: page) }
        type = openMetrics ? "application/openmetrics-text; version=1.0.0" : "text/plain"
    }

    func fetch(_ request: ScrapeRequest) async throws -> ScrapeAnswer {
        let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
        return ScrapeAnswer(status: 200, contentType: type, body: pages[number % pages.count])
    }
}

/// The page with other last digits in the values of a third of its series.
func variant(_ number: Int, of page: [UInt8]) -> [UInt8] {
    var out = page
    var line = 0
    var start = 0
    for index in out.indices where out[index] == UInt8(ascii: "\n") {
        defer {
            start = index + 1
            line += 1
        }
        guard start < index, out[start] != UInt8(ascii: "#"), (line + number) % 3 == 0 else {
            continue
        }
        let last = out[index - 1]
        if last >= UInt8(ascii: "0"), last <= UInt8(ascii: "9") {
            out[index - 1] = UInt8(ascii: "0") + UInt8((Int(last) + number) % 10)
        }
    }
    return out
}

/// Takes everything and keeps nothing.
struct Drain: ScrapeSink {
    func write(
        metrics: MetricBatch, tenant: Tenant
    ) async throws(IngestError) -> MetricWriteReport { MetricWriteReport() }
}

@main
enum ScrapeBench {
    static func main() async {
        let wanted = CommandLine.arguments.dropFirst()
        let seconds = Double(getenv("BENCH_SECONDS").map { String(cString: $0) } ?? "") ?? 0.5
        let names = Corpora.names(under: "expositions").filter { $0.hasSuffix(".txt") }
        print("exposition                            KiB  samples    MB/s  ns/sample  objects")
        var bytes = 0
        var nanos = 0.0
        for name in names where wanted.isEmpty || wanted.contains(where: { name.hasPrefix($0) }) {
            guard let page = Corpora.file("expositions/" + name) else { continue }
            let result = await measure(name, page, seconds)
            bytes += page.count
            nanos += result
        }
        if nanos > 0 { print("all: \(rounded(Double(bytes) / nanos * 1000)) MB/s") }
    }

    /// - Returns: nanoseconds per scrape.
    static func measure(_ name: String, _ page: [UInt8], _ seconds: Double) async -> Double {
        let isOpenMetrics = page.suffix(6).elementsEqual("# EOF\n".utf8)
        var job = ScrapeConfiguration(jobName: "bench")
        job.groups = [TargetGroup(targets: ["h:1"])]
        guard let target = makeTargets(job, groups: job.groups).active.first else { return 0 }
        let environment = ScrapeEnvironment(
            fetcher: Pages(page, openMetrics: isOpenMetrics), sink: Drain(), clock: SystemClock())
        let loop = ScrapeLoop(job, target, environment)
        for millis in 0..<8 { await loop.scrape(millis: Int64(millis) * 15_000) }
        if !loop.status.lastError.isEmpty {
            print("\(name): \(loop.status.lastError)")
            return 0
        }
        let before = environment.counters.samples.load(ordering: .relaxed)
        let started = cpuNanos()
        var rounds = 0
        while cpuNanos() - started < seconds * 1e9 {
            rounds += 1
            await loop.scrape(millis: Int64(8 + rounds) * 15_000)
        }
        let nanos = (cpuNanos() - started) / Double(rounds)
        let samples = (environment.counters.samples.load(ordering: .relaxed) - before) / rounds
        let objects = await AllocationCount.during { await loop.scrape(millis: 1 << 40) }
        let columns = [
            padded(name, -36), padded("\(page.count / 1024)", 5), padded("\(samples)", 8),
            padded(rounded(Double(page.count) / nanos * 1000), 7),
            padded(rounded(nanos / Double(max(samples, 1))), 10), padded("\(objects)", 8),
        ]
        print(columns.joined(separator: " "))
        return nanos
    }

    static func cpuNanos() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    static func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

    static func padded(_ text: String, _ width: Int) -> String {
        let blanks = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? text + blanks : blanks + text
    }
}
