// SPDX-License-Identifier: Apache-2.0
// Functions over ranges, by name.

import Base
import Telemetry

/// Functions that make one value of the samples in a range.
enum RangeFunction: String {
    case rate, increase, delta, irate, idelta, deriv, changes, resets
    case predictLinear = "predict_linear"
    case doubleExponentialSmoothing = "double_exponential_smoothing"
    case avg = "avg_over_time"
    case sum = "sum_over_time"
    case count = "count_over_time"
    case min = "min_over_time"
    case max = "max_over_time"
    case first = "first_over_time"
    case last = "last_over_time"
    case present = "present_over_time"
    case quantile = "quantile_over_time"
    case stddev = "stddev_over_time"
    case stdvar = "stdvar_over_time"
    case mad = "mad_over_time"
    case timeOfFirst = "ts_of_first_over_time"
    case timeOfLast = "ts_of_last_over_time"
    case timeOfMin = "ts_of_min_over_time"
    case timeOfMax = "ts_of_max_over_time"
    case absent = "absent_over_time"

    /// Whether the result is the same metric as the input.
    var keepsName: Bool { self == .first || self == .last }

    var allowsAnchored: Bool {
        switch self {
        case .changes, .delta, .increase, .rate, .resets: true
        default: false
        }
    }
    /// What of down-sampled data the function is made of.
    var aggregate: SampleAggregate {
        switch self {
        case .rate, .increase, .irate, .resets: .counter
        case .min: .min
        case .max: .max
        case .sum, .avg, .count: .sum
        default: .last
        }
    }
    var allowsSmoothed: Bool { self == .delta || self == .increase || self == .rate }
}

extension RangeCall {
    /// The value of a step whose window has at least one sample; nil = none.
    func value(_ window: RangeWindow) throws -> SampleValue? {
        switch function {
        case .rate: rate(window, isCounter: true, isRate: true)
        case .increase: rate(window, isCounter: true, isRate: false)
        case .delta: rate(window, isCounter: false, isRate: false)
        case .irate: instantRate(window, isRate: true)
        case .idelta: instantRate(window, isRate: false)
        case .deriv: derivative(window)
        case .predictLinear: prediction(window)
        case .doubleExponentialSmoothing: try smoothed(window)
        case .changes: changes(window)
        case .resets: resets(window)
        case .avg: average(window)
        case .sum: sum(window)
        case .count: .float(sampleCount(window))
        case .min, .max, .timeOfMin, .timeOfMax: extreme(window)
        case .first: first(window)
        case .last: last(window)
        case .present, .absent: .float(1)
        case .quantile: quantile(window)
        case .stddev, .stdvar: variance(window)
        case .mad: medianDeviation(window)
        case .timeOfFirst: .float(Double(firstMillis(window)) / 1000)
        case .timeOfLast: .float(Double(lastMillis(window)) / 1000)
        }
    }

    // MARK: Messages

    func warnMixedSamples() {
        annotations.warn(MessageText.mixedSamples(metric), at: position)
    }
    func warnMixedSchemas() {
        annotations.warn(MessageText.mixedSchemas(metric), at: position)
    }
    func noteIgnoredHistograms() {
        annotations.inform(MessageText.ignoredHistograms(metric), at: position)
    }
    func warnNotCounter() { annotations.warn(MessageText.notCounter(metric), at: position) }
    func warnNotGauge() { annotations.warn(MessageText.notGauge(metric), at: position) }

    /// Subtracts and says what that took; false when the histograms do not go together.
    func subtract(_ other: NativeHistogram, from histogram: inout NativeHistogram) -> Bool {
        do throws(IncompatibleHistograms) {
            if try histogram.subtract(other).reconciledBounds {
                annotations.inform(MessageText.reconciled("subtraction"), at: position)
            }
            return true
        } catch {
            warnMixedSchemas()
            return false
        }
    }

    /// Adds and says what that took; false when the histograms do not go together.
    func add(_ other: NativeHistogram, to histogram: inout NativeHistogram) -> Bool {
        do throws(IncompatibleHistograms) {
            if try histogram.add(other).reconciledBounds {
                annotations.inform(MessageText.reconciled("addition"), at: position)
            }
            return true
        } catch {
            warnMixedSchemas()
            return false
        }
    }
}
