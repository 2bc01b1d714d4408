// SPDX-License-Identifier: Apache-2.0
// Random queries over random data: the engine against the naive evaluator.

import Base
import Telemetry
import TestKit
import Testing

@testable import PromQL

@Suite struct EngineFuzzTests {
    @Test func answersAreThoseOfTheNaiveEvaluator() throws {
        var failures: [String] = []
        var queries = 0, refused = 0, points = 0
        _ = FuzzTime.forEach(count: 12) { seed in
            var random = SplitMix64(seed: seed)
            let data = FuzzData(&random)
            var generator = QueryGenerator(seed: random.next())
            for _ in 0..<60 {
                var check = FuzzCheck(data, generator.query(), &random)
                check.run()
                queries += 1
                points += check.points
                if check.isRefused { refused += 1 }
                if let failure = check.failure { failures.append("seed \(seed): \(failure)") }
            }
            return failures.count < 20
        }
        print("engine fuzz: \(queries) queries, \(refused) refused by both, \(points) points equal")
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n\n"))")
    }
}

/// One query in both evaluators.
private struct FuzzCheck {
    let data: FuzzData
    let text: String
    let start: Int64
    let end: Int64
    /// 0 = an instant query.
    let step: Int64
    /// Of every other query each series is a slice of its own.
    let slicing: Slicing
    private static let finest = Slicing.finest
    /// Whether what a query says twice is shared always, when it is very small, or never.
    let sharedBytes: Int
    private(set) var failure: String?
    private(set) var isRefused = false
    private(set) var points = 0

    init(_ data: FuzzData, _ text: String, _ random: inout SplitMix64) {
        self.data = data
        self.text = text
        start = Int64.random(in: 60...3600, using: &random) * 1000
        slicing = Bool.random(using: &random) ? FuzzCheck.finest : Slicing()
        sharedBytes = [0, 200, 1 << 20].randomElement(using: &random) ?? 0
        if Bool.random(using: &random) {
            step = 0
            end = start
        } else {
            step = [15_000, 60_000, 61_000, 300_000].randomElement(using: &random) ?? 60_000
            end = start + step * Int64.random(in: 0...12, using: &random)
        }
    }

    mutating func run() {
        let expression: Expression
        do {
            expression = try parseExpression(text)
        } catch {
            failure = "\(text): \(error)"
            return
        }
        let engine = Result { try ask() }
        let naive = Result { try evaluate(expression) }
        switch (engine, naive) {
        case (.success(let a), .success(let e)):
            if let difference = difference(a, e) { failure = "\(title)\n  \(difference)" }
        case (.failure, .failure): isRefused = true
        case (.failure(let error), .success): failure = "\(title)\n  engine refuses: \(error)"
        case (.success, .failure(let error)):
            failure = "\(title)\n  engine answers, though: \(error)"
        }
    }

    private var title: String { "\(text) from \(start) to \(end) step \(step)" }

    private typealias Answer = [Int64: [Tags: NaiveValue]]

    private func ask() throws -> Answer {
        var options = PromQLOptions()
        options.slicing = slicing
        options.sharedBytes = sharedBytes
        let engine = PromQLEngine(reader: data.store, options: options)
        let context = ReadContext(timeoutSeconds: 60, now: { SystemClock().monotonicNanos })
        let result =
            step == 0
            ? try engine.query(text, at: Millis(start), context: context)
            : try engine.queryRange(
                text, start: Millis(start), end: Millis(end), stepMillis: step, context: context)
        var answer: Answer = [:]
        func add(_ labels: Labels, _ millis: Int64, _ value: NaiveValue) {
            var tags: Tags = [:]
            for (name, value) in labels.pairs { tags[name] = value }
            answer[millis, default: [:]][tags] = value
        }
        switch result.value {
        case .scalar(let millis, let value): add(.empty, millis, .float(value))
        case .string: break
        case .vector(let samples):
            for sample in samples { add(sample.labels, start, value(sample.value)) }
        case .matrix(let matrix):
            for series in matrix {
                for (millis, float) in zip(series.floatMillis, series.floats) {
                    add(series.labels, millis, .float(float))
                }
                for (millis, histogram) in zip(series.histogramMillis, series.histograms) {
                    add(series.labels, millis, .histogram(NaiveHistogram(histogram)))
                }
            }
        }
        return answer
    }

    private func value(_ value: SampleValue) -> NaiveValue {
        switch value {
        case .float(let float): .float(float)
        case .histogram(let histogram): .histogram(NaiveHistogram(histogram))
        }
    }

    private func evaluate(_ expression: Expression) throws -> Answer {
        let naive = NaiveEvaluator(series: data.series, queryStart: start, queryEnd: end)
        var answer: Answer = [:]
        for time in stride(from: start, through: end, by: max(1, Int(step))) {
            switch try naive.evaluate(expression, at: time) {
            case .scalar(let value): answer[time] = [[:]: .float(value)]
            case .string: break
            case .vector(let vector):
                for (tags, value) in vector { answer[time, default: [:]][tags] = value }
            }
        }
        return answer
    }

    // MARK: Comparison

    private mutating func difference(_ actual: Answer, _ expected: Answer) -> String? {
        for time in Set(actual.keys).union(expected.keys).sorted() {
            let a = actual[time] ?? [:], e = expected[time] ?? [:]
            for tags in Set(a.keys).union(e.keys) {
                guard let x = a[tags] else { return "at \(time): \(tags) is missing: \(e)" }
                guard let y = e[tags] else { return "at \(time): \(tags) is too much: \(x)" }
                guard isSame(x, y) else { return "at \(time): \(tags) is \(x), expected \(y)" }
                points += 1
            }
        }
        return nil
    }

    private func isSame(_ a: NaiveValue, _ e: NaiveValue) -> Bool {
        switch (a, e) {
        case (.float(let a), .float(let e)): isSame(a, e)
        case (.histogram(let a), .histogram(let e)):
            a.schema == e.schema && a.bounds == e.bounds && a.zeroThreshold == e.zeroThreshold
                && isSame(a.count, e.count) && isSame(a.sum, e.sum)
                && isSame(a.zeroCount, e.zeroCount) && isSame(a.positive, e.positive)
                && isSame(a.negative, e.negative)
        default: false
        }
    }

    private func isSame(_ a: [Int: Double], _ e: [Int: Double]) -> Bool {
        Set(a.keys).union(e.keys).allSatisfy { isSame(a[$0] ?? 0, e[$0] ?? 0) }
    }

    /// Sums may be made in another order.
    private func isSame(_ a: Double, _ e: Double) -> Bool {
        if a.isNaN || e.isNaN { return a.isNaN && e.isNaN }
        if a == e { return true }
        return (a - e).magnitude <= 1e-7 * max(1, a.magnitude, e.magnitude)
    }
}
