// SPDX-License-Identifier: Apache-2.0
// Histograms that grow.

import Telemetry
import Testing

@testable import Ingest

@Suite struct SparseHistogramTests {
    @Test func valuesFallIntoTheBucketThatCoversThem() {
        for schema: Int32 in [0, 3, 8] {
            let growth = 1.0 / Double(1 << schema)
            for value in [1e-9, 0.3, 1, 1.0905, 2, 3, 1023.99, 1024, 5e12] {
                let index = Double(SparseHistogram.index(value, schema))
                let (low, high) = (exponential((index - 1) * growth), exponential(index * growth))
                // Rounding of the bounds themselves is a few units in the last place.
                #expect(value > low * (1 - 1e-14) && value <= high * (1 + 1e-14))
            }
        }
        #expect(SparseHistogram.index(1, 3) == 0 && SparseHistogram.index(2, 3) == 8)
        #expect(SparseHistogram.index(0.5, 3) == -8 && SparseHistogram.index(1.0001, 3) == 1)
    }

    private func exponential(_ power: Double) -> Double {
        let whole = power.rounded(.down)
        var result = 1.0, factor = 2.0, rest = power - whole
        // 2^rest by repeated square roots: exact enough for a check.
        for _ in 0..<60 {
            factor = factor.squareRoot()
            rest *= 2
            if rest >= 1 {
                result *= factor
                rest -= 1
            }
        }
        return Double(sign: .plus, exponent: Int(whole), significand: result)
    }

    @Test func observationsMakeAValidHistogram() throws {
        var histogram = SparseHistogram(schema: 3)
        for value in [0, 0.001, -0.001, 1, 1, 250, -3.5] { histogram.observe(value) }
        histogram.observe(2, weight: 10)
        let native = histogram.native
        try native.validate()
        #expect(native.isInteger && native.count == 17 && native.zeroCount == 1)
        #expect(native.positiveBuckets.reduce(0, +) == 14)
        #expect(native.negativeBuckets.reduce(0, +) == 2)
        histogram.observe(2, weight: 2.5)
        #expect(!histogram.native.isInteger)
        try histogram.native.validate()
    }

    @Test func manyBucketsHalveTheResolution() throws {
        var histogram = SparseHistogram(schema: 8)
        for step in 1...20_000 { histogram.observe(Double(step) * 0.37) }
        let native = histogram.native
        try native.validate()
        #expect(native.count == 20_000 && native.schema < 8)
        #expect(native.positiveBuckets.count <= 2 * SparseHistogram.maxBuckets)
        #expect(native.positiveBuckets.reduce(0, +) == 20_000)
    }

    @Test func sumsOfHistogramsKeepAllObservations() throws {
        var fine = SparseHistogram(schema: 5), coarse = SparseHistogram(schema: 2)
        for step in 1...50 { fine.observe(Double(step)) }
        for step in 1...30 { coarse.observe(Double(step) / 7) }
        let isAdded = fine.add(coarse.native)
        #expect(isAdded)
        try fine.native.validate()
        #expect(fine.native.schema == 2 && fine.native.count == 80)
        // Added at once they are the same.
        var direct = SparseHistogram(schema: 2)
        for step in 1...50 { direct.observe(Double(step)) }
        for step in 1...30 { direct.observe(Double(step) / 7) }
        #expect(direct.native.positiveBuckets == fine.native.positiveBuckets)
        #expect(direct.native.positiveSpans == fine.native.positiveSpans)
    }

    @Test func widerZeroBucketsTakeWhatTheyCover() throws {
        var histogram = SparseHistogram(schema: 0)
        for value in [0.1, 0.3, 0.6, 4] { histogram.observe(value) }
        var other = NativeHistogram()
        other.isInteger = true
        other.zeroThreshold = 0.4
        other.zeroCount = 2
        other.count = 2
        let isAdded = histogram.add(other)
        #expect(isAdded)
        // 0.3 lies in the bucket up to 0.5, which 0.4 cuts: the zero bucket grows to 0.5.
        let native = histogram.native
        try native.validate()
        #expect(native.zeroThreshold == 0.5 && native.zeroCount == 4 && native.count == 6)
        #expect(native.positiveBuckets.reduce(0, +) == 2)
    }

    @Test func differentCustomBoundsDoNotMix() {
        var custom = NativeHistogram()
        custom.schema = NativeHistogram.customSchema
        custom.customBounds = [1, 2]
        var sum = SparseHistogram(custom)
        custom.customBounds = [1, 3]
        let isAdded = sum.add(custom) || sum.add(NativeHistogram())
        #expect(!isAdded)
    }
}
