// SPDX-License-Identifier: Apache-2.0
// Options that all kinds of load share.

import ArgumentParser
import Base
import TestKit

struct LoadOptions: ParsableArguments {
    @Option(help: "Base address of the server.")
    var url = "http://127.0.0.1:4100"
    @Option(help: "The same seed makes the same data, also across signals.")
    var seed: UInt64 = 1
    @Option(help: "Requests at once.")
    var concurrency = 4
    @Option(help: "Items per second (as fast as they are taken).")
    var rate: Double?
    @Option(help: "Time of the first item: RFC 3339 or Unix seconds (so that the last is now).")
    var start: String?
    @Option(name: .customLong("trace-every"), help: "Time between two traces of the run.")
    var traceEvery = "20ms"
    @Flag(help: "Count every item back by queries, and fail if one is missing or too many.")
    var count = false
    @Flag(help: "Send nothing; count what an earlier run with the same options has sent.")
    var countOnly = false

    /// The run's timeline, of which `lengthNanos` will be filled.
    func timeline(lengthNanos: Int64) throws -> Timeline {
        // On a whole second, so that a run can be repeated with the start that is printed.
        let begin =
            try start.map { try parseTimeNanos($0) }
            ?? (SystemClock().wallNanos - lengthNanos) / 1_000_000_000 * 1_000_000_000
        return Timeline(
            seed: seed, startNanos: begin, traceEveryNanos: try duration(traceEvery))
    }

    /// Sends a source and counts it back, as the options say.
    func run(
        _ source: any LoadSource, _ timeline: Timeline, items: Int,
        count: (Counting) async throws -> Int
    ) async throws {
        let client = LabClient(url: url)
        print("start \(rfc3339Text(nanos: timeline.startNanos)), cluster \(timeline.cluster)")
        if !countOnly {
            let report = try await LoadRun(client: client, lanes: concurrency, rate: rate)
                .run(source)
            print(report.lines(item: source.item).joined(separator: "\n"))
        }
        guard self.count || countOnly else { return }
        let clock = SystemClock()
        let before = clock.monotonicNanos
        let found = try await count(Counting(client: client, lanes: concurrency))
        let seconds = Double(clock.monotonicNanos - before) / 1e9
        print("counted back \(found) of \(items) in \(fixedText(seconds, decimals: 2)) s")
        guard found == items else {
            throw LabError("\(items) \(source.item)s were acknowledged, queries find \(found)")
        }
    }
}

/// A duration of an option in nanoseconds, above 0.
func duration(_ text: String) throws -> Int64 {
    guard let nanos = parseQueryDuration(text), nanos > 0 else {
        throw ValidationError("\"\(text)\" is no duration such as 15s or 2ms")
    }
    return nanos
}

extension LoadReport {
    func lines(item: String) -> [String] {
        let rate = seconds > 0 ? Double(acknowledged) / seconds : 0
        let perItem = acknowledged > 0 ? Double(bodyBytes) / Double(acknowledged) : 0
        return [
            "acknowledged \(acknowledged) \(item)s in \(requests) requests, \(delayed) put off",
            "\(fixedText(seconds, decimals: 2)) s, \(fixedText(rate, decimals: 0)) \(item)s/s",
            "\(dataBytes) bytes of data, \(bodyBytes) bytes of bodies "
                + "(\(fixedText(perItem, decimals: 1)) per \(item))",
            "client CPU \(fixedText(clientCPUSeconds, decimals: 2)) s",
        ]
    }
}
