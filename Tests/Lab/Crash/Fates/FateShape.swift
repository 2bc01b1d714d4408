// SPDX-License-Identifier: Apache-2.0
// Series that do not stay as they were sent.

import Base
import Telemetry
import TestKit

/// What becomes of a series in a crash run.
enum Fate: Int, CaseIterable, Sendable {
    /// Of days that are down-sampled while they are still being filled.
    case coarse
    /// Kept for seconds by a rule of `storage.retention`.
    case short
    /// Half of its series are deleted, time by time.
    case deleted

    var metric: String { "lab_fate_\(self)" }
}

/// Samples of one fate. Values are whole numbers, so that sums are exact in any order.
struct FateShape: Sendable {
    /// How long `short` is kept.
    static let shortMillis: Int64 = 15_000
    static let fiveMinutes: Int64 = 300_000
    static let hour: Int64 = 3_600_000
    static let day: Int64 = 86_400_000

    let fate: Fate
    let seed: UInt64
    let series: [Labels]
    let stepsPerBatch: Int
    let stepMillis: Int64
    /// Time of step 0; `short` has the clock's times instead.
    let startMillis: Int64
    /// Steps after which nothing more is sent.
    let maxSteps: Int

    /// - Parameter nowMillis: start of the run.
    init(_ fate: Fate, seed: UInt64, nowMillis: Int64) {
        self.fate = fate
        self.seed = seed
        let count = fate == .short ? 20 : 40
        series = (0..<count).map { number in
            Labels([
                ("__name__", fate.metric), ("retain", fate == .short ? "short" : "long"),
                ("kind", number % 2 == 0 ? "a" : "b"), ("number", String(number)),
            ])
        }
        let today = nowMillis / Self.day * Self.day
        switch fate {
        case .coarse:
            stepsPerBatch = 4
            stepMillis = 30_000
            // Seven seconds off every bucket's end: no sample lies on an edge.
            startMillis = today - 6 * Self.day + 7000
            maxSteps = Int(5 * Self.day / stepMillis)
        case .short:
            (stepsPerBatch, stepMillis, startMillis, maxSteps) = (1, 1, 0, .max)
        case .deleted:
            stepsPerBatch = 1
            stepMillis = 1000
            startMillis = nowMillis - 7_200_000
            maxSteps = 7000
        }
    }

    var batchSamples: Int { series.count * stepsPerBatch }
    var maxBatches: Int { maxSteps == .max ? .max : maxSteps / stepsPerBatch }

    func millis(step: Int) -> Int64 { startMillis + Int64(step) * stepMillis }
    func step(millis: Int64) -> Int? {
        let offset = millis - startMillis
        return offset >= 0 && offset % stepMillis == 0 ? Int(offset / stepMillis) : nil
    }
    func value(series: Int, step: Int) -> Double {
        Double(Chance.hash(seed, UInt64(series) + 1000, UInt64(step)) % 1000)
    }

    /// - Parameter millis: of the batch's only step, where the clock says the time.
    func batch(_ index: Int, millis: Int64? = nil) -> MetricBatch {
        var batch = MetricBatch()
        for (number, labels) in series.enumerated() {
            let place = batch.addSeries(labels)
            for step in index * stepsPerBatch..<(index + 1) * stepsPerBatch {
                batch.addSample(
                    series: place, millis: millis ?? self.millis(step: step),
                    value: value(series: number, step: step))
            }
        }
        return batch
    }
}
