// SPDX-License-Identifier: Apache-2.0
// Compares answers with what scripts expect.

import Base
import PromQL
import Telemetry

extension Script.Evaluation.Text {
    func matches(_ text: String) -> Bool {
        switch self {
        case .any: true
        case .exact(let exact): text == exact
        case .pattern(let pattern):
            (try? RegularExpression(pattern))?.matchesAnywhere(text) ?? false
        }
    }
}

extension Script.Evaluation {
    /// The result to compare, nil when a failure was expected and happened.
    func checkFailure(_ answer: Result<ScriptAnswer, any Error>) throws -> ScriptAnswer? {
        switch (answer, fails) {
        case (.success(let result), nil): return result
        case (.success, _?): throw Mismatch("must fail")
        case (.failure(let error), nil): throw error
        case (.failure(let error), let expected?):
            if expected.matches("\(error)") { return nil }
            throw Mismatch("failed with \(error), expected \(expected)")
        }
    }

    func checkAnnotations(_ result: ScriptAnswer) throws {
        try check(result.warnings, warnings, none: noWarnings, "warning")
        try check(result.infos, infos, none: noInfos, "info")
    }

    private func check(
        _ texts: [String], _ expected: [Text], none: Bool, _ kind: String
    ) throws {
        if none, !texts.isEmpty { throw Mismatch("unexpected \(kind): \(texts)") }
        if expected.isEmpty { return }
        for expectation in expected where !texts.contains(where: expectation.matches) {
            throw Mismatch("\(kind) \(expectation) missing among \(texts)")
        }
        for text in texts where !expected.contains(where: { $0.matches(text) }) {
            throw Mismatch("unexpected \(kind): \(text)")
        }
    }

    // MARK: Values

    func compare(_ value: ScriptAnswer.Value) throws {
        switch value {
        case .scalar(let number):
            guard let scalar else { throw Mismatch("got the scalar \(number)") }
            guard almostEqual(number, scalar) else {
                throw Mismatch("got \(number), expected \(scalar)")
            }
        case .string(let text):
            guard text == string else { throw Mismatch("got \(quotedText(text))") }
        case .vector(let samples):
            if scalar != nil || string != nil { throw Mismatch("got a vector") }
            try compare(samples, ordered: isOrdered)
        case .matrix(let matrix):
            guard let grid = matrixGrid else { throw Mismatch("got a matrix") }
            try compare(matrix, start: grid.start, step: grid.step)
        }
    }

    private func compare(_ samples: [ScriptAnswer.Sample], ordered: Bool) throws {
        if ordered {
            let got = samples.map(\.labels), wanted = series.map(\.labels)
            if got != wanted { throw Mismatch("got the order \(got), expected \(wanted)") }
        }
        var missing: [Labels: [SeriesItem]] = [:]
        for item in series { missing[item.labels] = item.items }
        for (labels, value) in samples {
            guard let items = missing.removeValue(forKey: labels), let item = items.first else {
                throw Mismatch("unexpected series \(labels) with \(value)")
            }
            try compare(value, item, labels)
        }
        if let first = missing.keys.min() { throw Mismatch("series \(first) is missing") }
    }

    private func compare(_ value: ScriptAnswer.Number, _ item: SeriesItem, _ labels: Labels) throws
    {
        switch (value, item) {
        case (.float(let a), .float(let e)) where almostEqual(a, e): return
        case (.histogram(let a), .histogram(let e, let hasHint)) where equal(a, e, hasHint):
            return
        case (.shown(let a), .histogram(let e, _)) where a.equals(ShownHistogram(e)): return
        default:
            throw Mismatch("\(labels): got \(value), expected \(describe(item))")
        }
    }

    private func describe(_ item: SeriesItem) -> String {
        switch item {
        case .missing: "_"
        case .float(let float): "\(float)"
        case .histogram(let histogram, _): "\(histogram.text) \(histogram)"
        }
    }

    func compare(_ matrix: [ScriptAnswer.Series], start: Int64, step: Int64) throws {
        try checkSorted(matrix)
        var missing: [Labels: [SeriesItem]] = [:]
        for item in series { missing[item.labels] = item.items }
        for actual in matrix {
            guard let items = missing.removeValue(forKey: actual.labels) else {
                throw Mismatch("unexpected series \(actual.labels) \(actual.points)")
            }
            try compare(actual, items, start: start, step: step)
        }
        if let first = missing.keys.min() { throw Mismatch("series \(first) is missing") }
    }

    /// Floats and histograms are counted apart: each kind has its own points, in time order.
    private func compare(
        _ actual: ScriptAnswer.Series, _ items: [SeriesItem], start: Int64, step: Int64
    ) throws {
        var floats: [(Int64, SeriesItem)] = [], histograms: [(Int64, SeriesItem)] = []
        for (index, item) in items.enumerated() {
            let millis = start + Int64(index) * step
            switch item {
            case .missing: break
            case .float: floats.append((millis, item))
            case .histogram: histograms.append((millis, item))
            }
        }
        let wanted = floats + histograms
        let got =
            actual.points.filter { !$0.value.isHistogram }
            + actual.points.filter { $0.value.isHistogram }
        guard got.map(\.millis) == wanted.map(\.0) else {
            throw Mismatch(
                "\(actual.labels): points \(got), expected "
                    + "\(wanted.map { "\($0.0): \(describe($0.1))" })")
        }
        for (point, item) in zip(got, wanted) {
            try compare(point.value, item.1, actual.labels)
        }
    }

    /// Compares the points of a range query at one time with what an instant query must answer.
    func compareMiddle(_ matrix: [ScriptAnswer.Series], at time: Int64) throws {
        var samples: [ScriptAnswer.Sample] = []
        for series in matrix {
            for point in series.points where point.millis == time {
                samples.append((series.labels, point.value))
            }
        }
        if let scalar {
            guard samples.count == 1, case .float(let value) = samples[0].value,
                almostEqual(value, scalar)
            else { throw Mismatch("got \(samples), expected \(scalar)") }
            return
        }
        try compare(samples, ordered: false)
    }
}

/// Equality with the tolerance the scripts define.
func almostEqual(_ a: Double, _ e: Double) -> Bool {
    if StaleMarker.isStale(a) || StaleMarker.isStale(e) {
        return StaleMarker.isStale(a) && StaleMarker.isStale(e)
    }
    if a.isNaN, e.isNaN { return true }
    if a == e { return true }
    let sum = a.magnitude + e.magnitude
    let difference = (a - e).magnitude
    if a == 0 || e == 0 || sum < .leastNormalMagnitude {
        return difference < 1e-6 * .leastNormalMagnitude
    }
    return difference / min(sum, .greatestFiniteMagnitude) < 1e-6
}

private func equal(_ a: NativeHistogram, _ e: NativeHistogram, _ comparesHint: Bool) -> Bool {
    let a = a.compacted(), e = e.compacted()
    func same(_ x: [Double], _ y: [Double]) -> Bool {
        x.count == y.count && zip(x, y).allSatisfy { almostEqual($0, $1) }
    }
    return a.schema == e.schema && a.zeroThreshold == e.zeroThreshold
        && almostEqual(a.count, e.count) && almostEqual(a.sum, e.sum)
        && almostEqual(a.zeroCount, e.zeroCount) && a.positiveSpans == e.positiveSpans
        && a.negativeSpans == e.negativeSpans && same(a.positiveBuckets, e.positiveBuckets)
        && same(a.negativeBuckets, e.negativeBuckets)
        && (!a.usesCustomBounds || a.customBounds == e.customBounds)
        && (!comparesHint || a.counterReset == e.counterReset)
}
