// SPDX-License-Identifier: Apache-2.0
// What a function over a range sees at one step.

import Base
import Telemetry

/// What all steps of one call share.
struct RangeCall {
    let function: RangeFunction
    let vector: RangeVector
    let annotations: Annotations
    let usesStartTimestamps: Bool
    /// Position of all arguments together.
    let argumentsPosition: SourceRange
    /// Position of the first argument that is a number.
    let parameterPosition: SourceRange
    /// Labels of the series at hand.
    var series = Labels.empty

    /// Name of the series at hand, empty when it has none; for messages.
    var metric: String { series[Labels.metricName] ?? "" }
    var position: SourceRange { vector.position }
}

/// The samples of one step: index ranges into `RangeSamples`.
struct RangeWindow {
    let samples: RangeSamples
    let floats: Range<Int>
    let histograms: Range<Int>
    /// Time of evaluation.
    let evaluation: Int64
    /// Samples after `start`, up to `end`, belong to the range; an extended range has more.
    let start: Int64
    let end: Int64
    /// Numbers passed to the function at this step.
    let parameters: (Double, Double)

    var count: Int { floats.count + histograms.count }
    var isMixed: Bool { !floats.isEmpty && !histograms.isEmpty }

    /// Index ranges of the samples after one time, up to another.
    static func bounds(
        _ samples: RangeSamples, after first: Int64, through last: Int64
    ) -> (floats: Range<Int>, histograms: Range<Int>) {
        var slider = WindowSlider()
        slider.move(samples, after: first, through: last)
        return (slider.floats, slider.histograms)
    }

    func floatStart(_ index: Int) -> Int64 {
        index < samples.floatStarts.count ? samples.floatStarts[index] : 0
    }
    func histogramStart(_ index: Int) -> Int64 {
        index < samples.histogramStarts.count ? samples.histogramStarts[index] : 0
    }
}

/// Moves a window forward over samples.
struct WindowSlider {
    private(set) var floats = 0..<0
    private(set) var histograms = 0..<0

    mutating func move(_ samples: RangeSamples, after first: Int64, through last: Int64) {
        floats = WindowSlider.moved(floats, samples.floatMillis, first, last)
        histograms = WindowSlider.moved(histograms, samples.histogramMillis, first, last)
    }

    private static func moved(
        _ range: Range<Int>, _ millis: [Int64], _ first: Int64, _ last: Int64
    ) -> Range<Int> {
        var low = range.lowerBound
        while low < millis.count, millis[low] <= first { low += 1 }
        var high = max(low, range.upperBound)
        while high < millis.count, millis[high] <= last { high += 1 }
        return low..<high
    }
}
