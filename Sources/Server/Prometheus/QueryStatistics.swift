// SPDX-License-Identifier: Apache-2.0
// What a query took, for `stats`.

import Base
import PromQL
import Telemetry

/// Timings and sample counts of one query. Source: prometheus/prometheus
/// `util/stats/query_stats.go`.
///
/// Preparation and sorting are part of the evaluation here and are shown as 0; the peak is that of
/// the memory, in floats.
struct QueryStatistics: Sendable {
    private let queuedNanos: Int64
    private let totalNanos: Int64
    private let samples: QuerySamples
    private let peakSamples: Int
    /// Times of the steps, when they are shown.
    private let stepMillis: [Int64]

    /// Bytes of a float sample with its time.
    private static let sampleBytes = 16

    /// - Parameter times: of the query, when its samples are to be shown by step.
    init(
        _ context: ReadContext, queuedNanos: Int64, _ samples: QuerySamples,
        stepsOf times: QueryMoments?
    ) {
        self.queuedNanos = queuedNanos
        self.samples = samples
        totalNanos = context.elapsedNanos
        peakSamples = context.peakBytes / QueryStatistics.sampleBytes
        let steps = samples.loadedPerStep.indices
        stepMillis =
            switch times {
            case nil: []
            case .instant(let time): steps.map { _ in time.rawValue }
            case .range(let start, _, let step): steps.map { start.rawValue + Int64($0) * step }
            }
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
            write(seconds: Double(nanos) / 1e9, into: &json)
        }
        json.endObject()
        json.key("samples")
        json.beginObject()
        write("totalQueryableSamplesPerStep", samples.loadedPerStep, into: &json)
        json.member("totalQueryableSamples", samples.loaded)
        write("samplesReadPerStep", samples.readPerStep, into: &json)
        json.member("samplesRead", samples.read)
        json.member("peakSamples", peakSamples)
        json.endObject()
        json.endObject()
    }

    private func write(seconds: Double, into json: inout JSONWriter) {
        var text: [UInt8] = []
        appendFloatPlain(seconds, into: &text)
        json.raw(text)
    }

    private func write(_ name: String, _ counts: [Int], into json: inout JSONWriter) {
        if stepMillis.isEmpty { return }
        json.key(name)
        json.beginArray()
        for (millis, count) in zip(stepMillis, counts) {
            json.beginArray()
            write(seconds: Double(millis) / 1000, into: &json)
            json.int(count)
            json.endArray()
        }
        json.endArray()
    }
}
