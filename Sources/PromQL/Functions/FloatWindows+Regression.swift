// SPDX-License-Identifier: Apache-2.0
// Lines through windows of floats.

/// Times of the samples of a window in seconds from an origin, with their sums.
///
/// Windows of a series that is sampled evenly, on steps that are multiples of its interval, have
/// all the same times: then they are computed once for many windows.
private struct TimeAxis {
    private(set) var seconds: [Double] = []
    private var firstMillis: Int64 = .min
    /// Compensated sums of the seconds and of their squares.
    private(set) var sum = 0.0
    private(set) var squares = 0.0

    /// Makes this the axis of `count` samples whose times begin at `millis`.
    ///
    /// - Parameter isEven: all samples of the series have the same distance.
    @inline(__always)
    mutating func set(
        _ millis: UnsafePointer<Int64>, _ count: Int, origin: Int64, isEven: Bool
    ) {
        let first = millis[0] &- origin
        if isEven, first == firstMillis, count == seconds.count { return }
        firstMillis = first
        seconds.removeAll(keepingCapacity: true)
        var sum = 0.0, rest = 0.0, squares = 0.0, squaresRest = 0.0
        for i in 0..<count {
            let x = Double(millis[i] &- origin) / 1000
            seconds.append(x)
            compensatedAdd(x, to: &sum, &rest)
            compensatedAdd(x * x, to: &squares, &squaresRest)
        }
        self.sum = sum + rest
        self.squares = squares + squaresRest
    }
}

extension FloatWindows {
    /// Fills each step whose window has two samples or more from the line through them.
    ///
    /// - Parameters:
    ///   - origin: of the time axis, of a step and the index of the first sample of its window.
    ///   - result: of a step and its line.
    @inline(__always)
    func lines(origin: (Int, Int) -> Int64, _ result: (Int, Line) -> Double) {
        var isEven = true
        if count > 2 {
            let interval = millis[1] &- millis[0]
            for i in 2..<count { isEven = isEven && millis[i] &- millis[i &- 1] == interval }
        }
        var axis = TimeAxis()
        forEach { step, low, high, _ in
            let n = high &- low
            if n < 2 { return }
            let zero = origin(step, low)
            axis.set(millis + low, n, origin: zero, isEven: isEven)
            outValues[step] = result(step, line(low, n, axis, origin: zero))
            outKinds[step] = .float
        }
    }

    @inline(__always)
    private func line(_ low: Int, _ n: Int, _ axis: borrowing TimeAxis, origin: Int64) -> Line {
        let window = UnsafeBufferPointer(start: values + low, count: n)
        // Sums of y and x·y, compensated as `compensatedAdd` does it but for infinite sums.
        var sums = SIMD2<Double>.zero, rests = SIMD2<Double>.zero
        var isConstant = true
        let first = window[0]
        axis.seconds.withUnsafeBufferPointer { seconds in
            for i in 0..<n {
                let y = window[i]
                isConstant = isConstant && y == first
                let terms = SIMD2(y, seconds[i] * y)
                let totals = sums + terms
                let added = totals - sums
                rests += (sums - (totals - added)) + (terms - added)
                sums = totals
            }
        }
        let (y, xy) = (sums[0] + rests[0], sums[1] + rests[1])
        guard !isConstant, y.isFinite, xy.isFinite else {
            return Line(
                millis: UnsafeBufferPointer(start: millis + low, count: n), values: window,
                origin: origin)
        }
        return Line(x: axis.sum, y: y, xy: xy, squares: axis.squares, count: Double(n))
    }
}
