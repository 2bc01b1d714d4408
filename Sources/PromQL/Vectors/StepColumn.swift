// SPDX-License-Identifier: Apache-2.0
// Values of one series at every step.

import Telemetry

/// One output value: a float or a native histogram.
package enum SampleValue: Sendable, Equatable {
    case float(Double)
    case histogram(NativeHistogram)
}

/// One series' values over the steps of a grid, in columns. Steps may be empty.
package struct StepColumn: Sendable {
    package enum Kind: UInt8, Sendable, BitwiseCopyable { case none, float, histogram }

    /// Meaningful where `kinds` says float.
    package var values: [Double]
    package var kinds: [Kind]
    /// Empty when no step has a histogram, else one entry per step.
    package var histograms: [NativeHistogram?] = []

    package init(steps: Int) {
        values = [Double](repeating: 0, count: steps)
        kinds = [Kind](repeating: .none, count: steps)
    }

    package var count: Int { kinds.count }

    /// Bytes the column holds, without the insides of histograms.
    package static func byteCount(steps: Int) -> Int {
        steps * (MemoryLayout<Double>.stride + MemoryLayout<Kind>.stride)
    }

    /// Bytes the column holds.
    package var byteCount: Int {
        StepColumn.byteCount(steps: count)
            + histograms.reduce(0) {
                $0 + MemoryLayout<NativeHistogram?>.stride
                    + ($1.map { $0.positiveBuckets.count + $0.negativeBuckets.count } ?? 0) * 8
            }
    }

    /// Empties all steps and keeps the memory.
    package mutating func clear() {
        kinds.withUnsafeMutableBufferPointer { $0.update(repeating: .none) }
        if !histograms.isEmpty { histograms.removeAll(keepingCapacity: true) }
    }

    package mutating func set(_ step: Int, _ value: Double) {
        values[step] = value
        kinds[step] = .float
        if !histograms.isEmpty { histograms[step] = nil }
    }

    package mutating func set(_ step: Int, _ histogram: NativeHistogram) {
        if histograms.isEmpty {
            histograms = [NativeHistogram?](repeating: nil, count: kinds.count)
        }
        kinds[step] = .histogram
        histograms[step] = histogram
    }

    package mutating func set(_ step: Int, _ value: SampleValue) {
        switch value {
        case .float(let float): set(step, float)
        case .histogram(let histogram): set(step, histogram)
        }
    }

    package mutating func remove(_ step: Int) {
        kinds[step] = .none
        if !histograms.isEmpty { histograms[step] = nil }
    }

    /// The histogram of a step, nil when the step is empty or a float.
    package func histogram(_ step: Int) -> NativeHistogram? {
        histograms.isEmpty ? nil : histograms[step]
    }

    package subscript(step: Int) -> SampleValue? {
        switch kinds[step] {
        case .none: nil
        case .float: .float(values[step])
        case .histogram: histogram(step).map(SampleValue.histogram)
        }
    }

    package var isEmpty: Bool { kinds.allSatisfy { $0 == .none } }

    /// Whether every step has a float.
    package var isFullOfFloats: Bool {
        histograms.isEmpty
            && kinds.withUnsafeBufferPointer { kinds in
                var all = true
                for kind in kinds { all = all && kind == .float }
                return all
            }
    }

    /// Calls `body` with the memory of values and kinds, for loops that set or read floats.
    @inline(__always)
    package mutating func withFloats(
        _ body: (UnsafeMutablePointer<Double>, UnsafeMutablePointer<Kind>) -> Void
    ) {
        values.withUnsafeMutableBufferPointer { values in
            kinds.withUnsafeMutableBufferPointer { kinds in
                guard let values = values.baseAddress, let kinds = kinds.baseAddress else { return }
                body(values, kinds)
            }
        }
    }
}
