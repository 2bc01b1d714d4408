// SPDX-License-Identifier: Apache-2.0
// Sums and averages of native histograms.

import Telemetry

/// The running sum of histograms at one step, compensated for lost small terms.
struct HistogramFold {
    private var sum: NativeHistogram
    private var compensation: NativeHistogram?
    private var count = 1.0
    private let isAverage: Bool
    /// Set once the sum would overflow: from then on `sum` is the mean.
    private var isIncremental = false
    private var isIncompatible = false
    private var sawReset = false
    private var sawNoReset = false

    init(_ first: NativeHistogram, isAverage: Bool) {
        sum = first
        self.isAverage = isAverage
        noteReset(first)
    }

    private mutating func noteReset(_ histogram: NativeHistogram) {
        switch histogram.counterReset {
        case .reset: sawReset = true
        case .notReset: sawNoReset = true
        default: break
        }
    }

    mutating func add(_ histogram: NativeHistogram, _ notes: AggregateNotes) {
        if isIncompatible { return }
        noteReset(histogram)
        count += 1
        do throws(IncompatibleHistograms) {
            if !isAverage || !isIncremental {
                var total = sum, rest = compensation
                let outcome = try total.kahanAdd(histogram, &rest)
                if outcome.reconciledBounds { notes.reconciled() }
                if !isAverage || !total.hasOverflow {
                    sum = total
                    compensation = rest
                    return
                }
                isIncremental = true
                sum = sum.divided(by: count - 1)
                compensation = compensation?.divided(by: count - 1)
            }
            let q = (count - 1) / count
            sum = sum.multiplied(by: q)
            compensation = compensation?.multiplied(by: q)
            let outcome = try sum.kahanAdd(histogram.divided(by: count), &compensation)
            if outcome.reconciledBounds { notes.reconciled() }
        } catch {
            isIncompatible = true
            notes.incompatible()
        }
    }

    /// The sum or mean, nil when the inputs cannot be added.
    func result(_ notes: AggregateNotes) -> NativeHistogram? {
        if isIncompatible { return nil }
        if sawReset, sawNoReset { notes.conflictingResets() }
        var total = sum, rest = compensation
        if isAverage, !isIncremental {
            total = total.divided(by: count)
            rest = rest?.divided(by: count)
        }
        if let rest {
            do throws(IncompatibleHistograms) {
                _ = try total.add(rest)
            } catch {
                // The compensation has the layout of the sum, so they always fit.
                return nil
            }
        }
        return total.compacted()
    }
}
