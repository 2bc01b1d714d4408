// SPDX-License-Identifier: Apache-2.0
// What a query took, for `stats`.

import Base
import Telemetry

/// Timings and sample counts of one query. Source: prometheus/prometheus
/// `util/stats/query_stats.go`.
///
/// Preparation and sorting are part of the evaluation here and are shown as 0. A sample counts
/// once, however many steps look at it.
struct QueryStatistics: Sendable {
    private let queuedNanos: Int64
    private let totalNanos: Int64
    private let samples: Int
    private let peakSamples: Int

    /// Bytes of a float sample with its time.
    private static let sampleBytes = 16

    init(_ context: ReadContext, queuedNanos: Int64) {
        self.queuedNanos = queuedNanos
        totalNanos = context.elapsedNanos
        samples = context.samplesRead
        peakSamples = context.peakBytes / QueryStatistics.sampleBytes
    }

    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.key("timings")
        json.beginObject()
        let evaluation = totalNanos - queuedNanos
        let timings = [
            ("evalTotalTime", evaluation), ("resultSortTime", 0), ("queryPreparationTime", 0),
            ("innerEvalTime", evaluation), ("execQueueTime", queuedNanos),
            ("execTotalTime", totalNanos),
        ]
        for (name, nanos) in timings {
            json.key(name)
            var seconds: [UInt8] = []
            appendFloatPlain(Double(nanos) / 1e9, into: &seconds)
            json.raw(seconds)
        }
        json.endObject()
        json.key("samples")
        json.beginObject()
        json.member("totalQueryableSamples", samples)
        json.member("samplesRead", samples)
        json.member("peakSamples", peakSamples)
        json.endObject()
        json.endObject()
    }
}
