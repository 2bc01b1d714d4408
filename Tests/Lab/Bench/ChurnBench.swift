// SPDX-License-Identifier: Apache-2.0
// What the index costs when machines come and go.

import Base
import TestKit

/// Days of a fleet of which half is replaced by new machines every day.
struct ChurnBench: Sendable {
    let binary: String
    let path: String
    /// Active at a time; rounded to an even number of machines.
    let series: Int
    let days: Int
    let scrapesPerDay: Int
    let seed: UInt64
    let lanes: Int

    func run() async throws {
        let server = try await PeerServer.start(.tern(binary), binary, below: path)
        let nanosPerDay: Int64 = 86_400_000_000_000
        let today = SystemClock().wallNanos / nanosPerDay
        let perHost = MetricShape(
            timeline: Timeline(seed: seed, startNanos: 0), hosts: 1, batchSamples: 1
        ).seriesCount
        let half = max(1, series / perHost / 2)
        let stepMillis = 86_400_000 / Int64(scrapesPerDay)
        var samples = 0
        for day in 0..<days {
            complain("day \(day + 1) of \(days)")
            let timeline = Timeline(
                seed: seed, startNanos: (today - Int64(days - day)) * nanosPerDay)
            // The machines that stay, and those of this day.
            for first in [0, half * (day + 1)] {
                let shape = MetricShape(
                    timeline: timeline, hosts: half, stepMillis: stepMillis, batchSamples: 5000,
                    firstHost: first)
                let load = MetricLoad(
                    shape: shape, samples: shape.seriesCount * scrapesPerDay, version: .rw1)
                samples += try await LoadRun(client: server.client, lanes: lanes).run(load)
                    .acknowledged
            }
        }
        let metrics = TernMetrics(client: server.client)
        try await metrics.waitUntilSealed()
        let indexBytes = try await metrics.value("tern_metrics_part_index_bytes")
        let partSeries = try await metrics.value("tern_metrics_part_series")
        let correlation = try await metrics.value(
            "tern_storage_part_bytes{signal=\"correlation\"}")
        let all = try await metrics.value("tern_storage_part_bytes{signal=\"metrics\"}")
        let parts = try await metrics.value("tern_storage_parts{signal=\"metrics\"}")
        try await server.process.stop(seconds: 300)
        let active = 2 * half * perHost
        let distinct = half * perHost * (days + 1)
        func per(_ bytes: Int, _ series: Int) -> String {
            decimals(Double(bytes) / Double(max(1, series)), 1)
        }
        say("## \(active) series, half of them replaced on each of \(days) days\n")
        var table = MarkdownTable(
            "samples", "distinct series", "parts", "series of all parts", "bytes of samples",
            "bytes of index", "per distinct series", "per series of a part",
            "correlation bytes", "all index bytes per distinct series")
        table.row(
            String(samples), String(distinct), String(parts), String(partSeries),
            String(all - indexBytes), String(indexBytes), per(indexBytes, distinct),
            per(indexBytes, partSeries), String(correlation),
            per(indexBytes + correlation, distinct))
        say(table.text)
    }
}
