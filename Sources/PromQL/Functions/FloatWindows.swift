// SPDX-License-Identifier: Apache-2.0
// Functions over ranges where all samples are floats.

import Telemetry

/// Float samples of one series and the windows that the steps see of them, as plain memory.
///
/// What `RangeCall` does window by window for samples of any kind, this does for floats in one loop
/// per function, with the same operations in the same order: results are the same bit for bit.
/// Windows of neighbouring steps overlap, so what can be known per pair of neighbours (resets,
/// changes) is found once per series and not once per window.
struct FloatWindows {
    let millis: UnsafePointer<Int64>
    let values: UnsafePointer<Double>
    let count: Int
    /// End of the first step's window, inclusive; windows end `stepMillis` apart.
    let firstEnd: Int64
    let stepMillis: Int64
    let steps: Int
    /// A window holds the samples after its end minus this.
    let rangeMillis: Int64
    let outValues: UnsafeMutablePointer<Double>
    let outKinds: UnsafeMutablePointer<StepColumn.Kind>
    /// Time of evaluation of the first step; that of the others is `evaluationStepMillis` apart.
    let firstEvaluation: Int64
    let evaluationStepMillis: Int64
    /// The first number passed to the function at each step; empty when there is none.
    let parameter: UnsafeBufferPointer<Double>
    /// Ends the loop over the windows when the query is to end; the caller then asks it why.
    let context: ReadContext

    /// Samples in windows between two looks at the limits of the query: some milliseconds.
    static let samplesPerCheck = 1 << 20

    /// Which functions have a loop here.
    static func covers(_ function: RangeFunction) -> Bool {
        switch function {
        case .rate, .increase, .delta, .irate, .idelta, .changes, .resets, .avg, .sum, .count,
            .min, .max, .first, .last, .present, .stddev, .stdvar, .timeOfFirst, .timeOfLast,
            .deriv, .predictLinear:
            true
        default: false
        }
    }

    /// Fills the steps whose windows have a result.
    ///
    /// - Parameter scratch: memory reused from series to series.
    func run(_ function: RangeFunction, _ scratch: inout Scratch) {
        switch function {
        case .rate: rate(isCounter: true, isRate: true, &scratch)
        case .increase: rate(isCounter: true, isRate: false, &scratch)
        case .delta: rate(isCounter: false, isRate: false, &scratch)
        case .irate: instantRate(isRate: true)
        case .idelta: instantRate(isRate: false)
        case .changes: countPairs(&scratch) { a, b in a != b && !(a.isNaN && b.isNaN) }
        case .resets: countPairs(&scratch) { a, b in b < a }
        case .sum: sum(&scratch)
        case .avg: average(&scratch)
        case .count: forEach { step, low, high, _ in set(step, Double(high &- low)) }
        case .present: forEach { step, _, _, _ in set(step, 1) }
        case .first: forEach { step, low, _, _ in set(step, values[low]) }
        case .last: forEach { step, _, high, _ in set(step, values[high &- 1]) }
        case .timeOfFirst:
            forEach { step, low, _, _ in set(step, Double(millis[low]) / 1000) }
        case .timeOfLast:
            forEach { step, _, high, _ in set(step, Double(millis[high &- 1]) / 1000) }
        case .min: extreme { $0 < $1 }
        case .max: extreme { $0 > $1 }
        case .stddev: variance { $0.squareRoot() }
        case .stdvar: variance { $0 }
        case .deriv:
            lines(origin: { _, low in millis[low] }) { _, line in line.slope }
        case .predictLinear:
            lines(origin: { step, _ in firstEvaluation &+ Int64(step) &* evaluationStepMillis }) {
                step, line in line.slope * parameter[step] + line.intercept
            }
        default: preconditionFailure("\(function) has no loop over floats")
        }
    }

    struct Scratch {
        fileprivate var indexes: [Int] = []
        fileprivate var prefix: [Double] = []
        init() {}
    }

    @inline(__always)
    private func set(_ step: Int, _ value: Double) {
        outValues[step] = value
        outKinds[step] = .float
    }

    /// Calls `body` with step, first index, index after the last and end of each window that has
    /// samples.
    @inline(__always)
    func forEach(_ body: (Int, Int, Int, Int64) -> Void) {
        var low = 0, high = 0
        var end = firstEnd
        var seen = 0
        for step in 0..<steps {
            let start = end &- rangeMillis
            while low < count, millis[low] <= start { low &+= 1 }
            if low == count { return }
            if high < low { high = low }
            while high < count, millis[high] <= end { high &+= 1 }
            if high > low { body(step, low, high, end) }
            seen &+= high &- low &+ 1
            if seen > FloatWindows.samplesPerCheck {
                if context.isInterrupted { return }
                seen = 0
            }
            end &+= stepMillis
        }
    }

    // MARK: Rates

    private func rate(isCounter: Bool, isRate: Bool, _ scratch: inout Scratch) {
        // Where the counter fell; rare, so windows only look at these.
        scratch.indexes.removeAll(keepingCapacity: true)
        if isCounter, count > 1 {
            for i in 1..<count where values[i] < values[i &- 1] { scratch.indexes.append(i) }
        }
        let rangeSeconds = Double(rangeMillis) / 1000
        scratch.indexes.withUnsafeBufferPointer { resets in
            var nextReset = 0
            forEach { step, low, highEnd, end in
                let high = highEnd &- 1
                if high == low { return }
                let first = values[low]
                var result = values[high] - first
                while nextReset < resets.count, resets[nextReset] <= low { nextReset &+= 1 }
                var reset = nextReset
                while reset < resets.count, resets[reset] <= high {
                    result += values[resets[reset] &- 1]
                    reset &+= 1
                }
                // See `Extrapolation`, which does the same for histograms.
                var toStart = Double(millis[low] &- (end &- rangeMillis)) / 1000
                var toEnd = Double(end &- millis[high]) / 1000
                let sampled = Double(millis[high] &- millis[low]) / 1000
                let between = sampled / Double(high &- low)
                let threshold = between * 1.1
                if toStart >= threshold { toStart = between / 2 }
                if isCounter, result > 0, first >= 0 {
                    toStart = Swift.min(toStart, sampled * (first / result))
                }
                if toEnd >= threshold { toEnd = between / 2 }
                var factor = sampled == 0 ? 1 : (sampled + toStart + toEnd) / sampled
                if isRate { factor /= rangeSeconds }
                set(step, result * factor)
            }
        }
    }

    private func instantRate(isRate: Bool) {
        forEach { step, low, high, _ in
            if high &- low < 2 { return }
            let seconds = Double(millis[high &- 1] &- millis[high &- 2]) / 1000
            if seconds == 0 { return }
            let a = values[high &- 2], b = values[high &- 1]
            let difference = isRate && b < a ? b : b - a
            set(step, isRate ? difference / seconds : difference)
        }
    }

    /// Counts the neighbours in the window for which the condition holds.
    @inline(__always)
    private func countPairs(_ scratch: inout Scratch, _ holds: (Double, Double) -> Bool) {
        scratch.indexes.removeAll(keepingCapacity: true)
        var total = 0
        for i in 0..<count {
            if i > 0, holds(values[i &- 1], values[i]) { total &+= 1 }
            scratch.indexes.append(total)
        }
        scratch.indexes.withUnsafeBufferPointer { totals in
            forEach { step, low, high, _ in
                set(step, Double(totals[high &- 1] &- totals[low]))
            }
        }
    }

    // MARK: Folds

    /// Running sums, when all values are whole and small enough for every partial sum to be exact:
    /// then any order of adding, and a difference of two of them, gives the same number. Whether
    /// they are.
    private func prefixSums(_ scratch: inout Scratch) -> Bool {
        let maxExact = 9_007_199_254_740_992.0
        scratch.prefix.removeAll(keepingCapacity: true)
        scratch.prefix.reserveCapacity(count &+ 1)
        var sum = 0.0, size = 0.0
        scratch.prefix.append(0)
        for i in 0..<count {
            let value = values[i]
            size += value.magnitude
            guard value == value.rounded(.towardZero), size < maxExact else { return false }
            sum += value
            scratch.prefix.append(sum)
        }
        return true
    }

    private func sum(_ scratch: inout Scratch) {
        if prefixSums(&scratch) {
            scratch.prefix.withUnsafeBufferPointer { sums in
                forEach { step, low, high, _ in set(step, sums[high] - sums[low]) }
            }
            return
        }
        forEach { step, low, high, _ in
            var total = 0.0, rest = 0.0
            for i in low..<high { compensatedAdd(values[i], to: &total, &rest) }
            set(step, total.isInfinite ? total : total + rest)
        }
    }

    private func average(_ scratch: inout Scratch) {
        if prefixSums(&scratch) {
            scratch.prefix.withUnsafeBufferPointer { sums in
                forEach { step, low, high, _ in
                    set(step, (sums[high] - sums[low]) / Double(high &- low))
                }
            }
            return
        }
        forEach { step, low, high, _ in
            set(
                step,
                FloatWindows.average(UnsafeBufferPointer(start: values + low, count: high &- low)))
        }
    }

    /// The mean of at least one value. Source: prometheus/prometheus `promql/functions.go`,
    /// `funcAvgOverTime`.
    static func average(_ values: UnsafeBufferPointer<Double>) -> Double {
        var total = values[0], rest = 0.0
        var n = 1.0
        var index = 1
        while index < values.count {
            var next = total, nextRest = rest
            compensatedAdd(values[index], to: &next, &nextRest)
            if next.isInfinite { break }
            total = next
            rest = nextRest
            n += 1
            index &+= 1
        }
        if index == values.count { return total / n + rest / n }
        // The sum overflows, the mean need not.
        var mean = total / n
        rest /= n
        while index < values.count {
            n += 1
            let q = (n - 1) / n
            mean *= q
            rest *= q
            compensatedAdd(values[index] / n, to: &mean, &rest)
            index &+= 1
        }
        return mean + rest
    }

    @inline(__always)
    private func extreme(_ isBetter: (Double, Double) -> Bool) {
        forEach { step, low, high, _ in
            var best = values[low]
            for i in low..<high {
                let value = values[i]
                if isBetter(value, best) || best.isNaN { best = value }
            }
            set(step, best)
        }
    }

    @inline(__always)
    private func variance(_ finish: (Double) -> Double) {
        forEach { step, low, high, _ in
            var n = 0.0
            var mean = 0.0, meanRest = 0.0, squares = 0.0, squaresRest = 0.0
            for i in low..<high {
                let value = values[i]
                n += 1
                let delta = value - (mean + meanRest)
                compensatedAdd(delta / n, to: &mean, &meanRest)
                compensatedAdd(delta * (value - (mean + meanRest)), to: &squares, &squaresRest)
            }
            set(step, finish((squares + squaresRest) / n))
        }
    }
}
