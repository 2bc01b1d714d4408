// SPDX-License-Identifier: Apache-2.0
// What a benchmark sends.

import Base
import TestKit

/// The same data for every server of a run.
struct BenchPlan: Sendable {
    let samples: Int
    let logBytes: Int
    let spans: Int
    let lanes: Int
    /// Directory for data and logs of servers.
    let path: String
    let metrics: MetricLoad
    let logs: LogLoad
    let traces: TraceLoad

    init(samples: Int, logBytes: Int, spans: Int, seed: UInt64, lanes: Int, path: String) {
        self.samples = samples
        self.logBytes = logBytes
        self.spans = spans
        self.lanes = lanes
        self.path = path
        // Everything lies in the two hours before now.
        let now = SystemClock().wallNanos / 1_000_000_000 * 1_000_000_000
        let timeline = Timeline(seed: seed, startNanos: now - 7_200_000_000_000)
        metrics = MetricLoad(
            shape: MetricShape(timeline: timeline, hosts: 20, batchSamples: 2000),
            samples: samples, version: .rw1)
        logs = LogLoad(
            shape: LogShape(timeline: timeline, batchLines: 2000),
            lines: logBytes > 0 ? LogLoad.lines(items: nil, bytes: logBytes, seed: seed) : 0,
            format: .loki)
        traces = TraceLoad(shape: TraceShape(timeline: timeline, batchTraces: 25), spans: spans)
    }
}
