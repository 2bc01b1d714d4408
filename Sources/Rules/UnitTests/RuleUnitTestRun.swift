// SPDX-License-Identifier: Apache-2.0
// Runs one test of rules.

import Base
import PromQL
import Telemetry

/// Evaluates groups over input series at simulated times and compares what comes out.
///
/// Source: prometheus/prometheus `cmd/promtool/unittest.go`.
package struct RuleUnitTestRun {
    private let test: RuleUnitTest
    private let settings: RuleUnitTestSettings
    private let groups: [RuleGroup]
    private let memory: SampleMemory
    private let queries: MemoryQueries
    private var input: [(labels: Labels, items: [SeriesItem])] = []
    /// Values of the input that are in the memory.
    private var loaded = 0

    /// Most evaluations of one test: bounds what a mistaken time can cost.
    private static let maxEvaluations: Int64 = 10_000_000

    /// - Throws: `ParseError` for an input series that cannot be read.
    package init(
        _ test: RuleUnitTest, _ definitions: [RuleGroupDefinition],
        _ settings: RuleUnitTestSettings
    ) throws(ParseError) {
        self.test = test
        self.settings = settings
        memory = SampleMemory()
        var options = PromQLOptions()
        options.subqueryStepMillis = settings.evaluationMillis
        options.parser = settings.parser
        options.delayedNameRemoval = settings.delayedNameRemoval
        queries = MemoryQueries(memory: memory, options: options)
        var environment = RuleEnvironment(
            queries: queries, sink: memory, clock: StandingClock(), slots: EvaluationSlots(0))
        environment.surroundings = test.surroundings
        let order = settings.groupOrder
        func rank(_ group: RuleGroupDefinition) -> Int { order.firstIndex(of: group.name) ?? 0 }
        groups = definitions.enumerated()
            .sorted {
                let (a, b) = (rank($0.element), rank($1.element))
                return a == b ? $0.offset < $1.offset : a < b
            }
            .map { RuleGroup($0.element, environment, parser: settings.parser) }
        var places: [Labels: Int] = [:]
        for series in test.input {
            let one = try parseSeriesNotation(series.series + " " + series.values)
            // Of a series that is given twice the last one counts, as in promtool.
            if let place = places.updateValue(input.count, forKey: one.labels) {
                input[place].items = one.items
                places[one.labels] = place
            } else {
                input.append(one)
            }
        }
    }

    /// - Returns: what failed, in promtool's words; empty = the test passes.
    package mutating func run() async -> [String] {
        var faults: [String] = []
        let step = max(1, settings.evaluationMillis)
        guard test.lastMillis / step < Self.maxEvaluations else {
            return ["    more than \(Self.maxEvaluations) evaluations up to the last eval_time"]
        }
        for item in test.alertCases where item.alert.isEmpty {
            let name = test.name.isEmpty ? "" : " (in TestGroup \(test.name))"
            return [
                "an item under alert_rule_test misses required attribute alertname at eval_time "
                    + durationText(millis: item.evalMillis) + name
            ]
        }
        var offset: Int64 = 0
        while offset <= test.lastMillis {
            load(until: offset)
            let failures = await evaluate(atOffset: offset)
            if !failures.isEmpty { return faults + failures }
            let due = test.alertCases.filter {
                offset <= $0.evalMillis && $0.evalMillis < offset + step
            }
            for item in due.sorted(by: { $0.evalMillis < $1.evalMillis }) {
                if let fault = check(item) { faults.append(fault) }
            }
            offset += step
        }
        for item in test.expressionCases {
            if let fault = await check(item) { faults.append(fault) }
        }
        return faults
    }

    /// Adds the values of the input up to a time: an evaluation must not see what comes later.
    private mutating func load(until offset: Int64) {
        let interval = max(1, test.intervalMillis)
        let end = Int(offset / interval) + 1
        guard end > loaded else { return }
        var batch = MetricBatch()
        for (labels, items) in input where loaded < items.count {
            let series = batch.addSeries(labels)
            for index in loaded..<min(end, items.count) {
                let millis = test.startMillis + Int64(index) * interval
                switch items[index] {
                case .missing: continue
                case .float(let value):
                    batch.addSample(series: series, millis: millis, value: value)
                case .histogram(let histogram, _):
                    batch.addHistogram(series: series, millis: millis, histogram)
                }
            }
        }
        loaded = end
        memory.add(batch)
    }

    private func evaluate(atOffset offset: Int64) async -> [String] {
        var failures: [String] = []
        let (nanos, overflow) = (test.startMillis + offset).multipliedReportingOverflow(
            by: 1_000_000)
        if overflow { return ["    time out of range: \(test.startMillis + offset) ms"] }
        for group in groups {
            await group.evaluate(atNanos: nanos)
            for rule in group.rules where !rule.status.lastError.isEmpty {
                failures.append(
                    "    rule: \(rule.name), time: \(goDurationText(nanos: nanos)), "
                        + "err: \(rule.status.lastError)")
            }
        }
        return failures
    }

    // MARK: alerts

    private struct Shown: Comparable {
        var labels: Labels
        var annotations: Labels
        static func < (a: Shown, b: Shown) -> Bool {
            a.labels == b.labels ? a.annotations < b.annotations : a.labels < b.labels
        }
    }

    private func check(_ item: RuleUnitTest.AlertCase) -> String? {
        func labels(_ texts: [RuleText]) -> Labels { Labels(texts.map { ($0.name, $0.value) }) }
        let rules = groups.flatMap(\.rules)
            .filter { $0.definition.isAlert && $0.name == item.alert }
        let got = rules.flatMap(\.activeAlerts).filter { $0.state == .firing }
            .map { Shown(labels: $0.labels, annotations: labels($0.annotations)) }.sorted()
        let expected = item.expected.map { alert in
            Shown(
                labels: labels(alert.labels + [RuleText("alertname", item.alert)]),
                annotations: labels(alert.annotations))
        }.sorted()
        if got == expected { return nil }
        let name = test.name.isEmpty ? "" : "    name: \(test.name),\n"
        return name
            + "    alertname: \(item.alert), time: \(durationText(millis: item.evalMillis)), "
            + "\n        exp:\(text(expected)), \n        got:\(text(got))"
    }

    private func text(_ alerts: [Shown]) -> String {
        if alerts.isEmpty { return "[]" }
        let entries = alerts.enumerated().map { index, alert in
            "\(index):\n  Labels:\(alert.labels)\n  Annotations:\(alert.annotations)"
        }
        let lines = ("[\n" + entries.joined(separator: ",\n") + "\n]").split(
            separator: "\n", omittingEmptySubsequences: false)
        return lines.joined(separator: "\n            ")
    }

    // MARK: expressions

    private func check(_ item: RuleUnitTest.ExpressionCase) async -> String? {
        let head =
            "    expr: \(quotedText(item.expression)), time: \(durationText(millis: item.evalMillis)),"
        var expected: [RuleSample] = []
        for sample in item.expected {
            do throws(ParseError) { expected.append(try sample.parsed) } catch {
                return "\(head) err: labels \(quotedText(sample.labels)): \(error)"
            }
        }
        var got: [RuleSample]
        do {
            let millis = test.startMillis + item.evalMillis
            let (nanos, overflow) = millis.multipliedReportingOverflow(by: 1_000_000)
            if overflow { return "\(head) err: time out of range" }
            let expression = item.expression
            got = try await queries.run(as: .anonymous) {
                try $0.query(expression, .promql, atNanos: nanos, windowMillis: 0)
            }
        } catch { return "\(head) err: \(error)" }
        expected.sort { $0.labels < $1.labels }
        got.sort { $0.labels < $1.labels }
        let isEqual =
            expected.count == got.count
            && zip(expected, got).allSatisfy {
                $0.labels == $1.labels && isSame($0.value, $1.value)
            }
        if isEqual { return nil }
        return "\(head)\n        exp: \(text(expected))\n        got: \(text(got))"
    }

    private func isSame(_ a: SampleValue, _ b: SampleValue) -> Bool {
        switch (a, b) {
        case (.float(let x), .float(let y)):
            if x == y || (x.isNaN && y.isNaN) { return true }
            return settings.isFuzzy && (x.nextUp == y || x.nextDown == y)
        case (.histogram(let x), .histogram(let y)):
            return x.schema == y.schema && x.zeroThreshold == y.zeroThreshold && x.text == y.text
        default: return false
        }
    }

    private func text(_ samples: [RuleSample]) -> String {
        if samples.isEmpty { return "nil" }
        return samples.map { sample in
            let value =
                switch sample.value {
                case .float(let number): floatText(number)
                case .histogram(let histogram): histogram.text
                }
            return "\(metricText(sample.labels)) \(value)"
        }.joined(separator: ", ")
    }

    private func metricText(_ labels: Labels) -> String {
        guard let name = labels["__name__"] else { return labels.description }
        let rest = labels.without(["__name__"])
        return rest.isEmpty ? name : name + rest.description
    }
}

extension RuleUnitTest.ExpectedSample {
    fileprivate var parsed: RuleSample {
        get throws(ParseError) {
            let labels = try parseSeriesNotation(labels).labels
            if histogram.isEmpty { return RuleSample(labels: labels, value: .float(value)) }
            let items = try parseSeriesNotation("{} " + histogram).items
            guard case .histogram(let value, _)? = items.first, items.count == 1 else {
                throw ParseError(
                    [ParseFault(SourceRange(0, histogram.utf8.count), "expected one histogram")],
                    query: histogram)
            }
            return RuleSample(labels: labels, value: .histogram(value))
        }
    }
}

/// A clock nobody waits by: simulated evaluations carry their own times.
private struct StandingClock: Clock {
    var wallNanos: Int64 { 0 }
    var monotonicNanos: Int64 { 0 }
    func sleep(untilMonotonicNanos deadlineNanos: Int64) async throws { throw CancellationError() }
}

/// Queries over samples in memory, on the caller's thread. The samples are everybody's.
package struct MemoryQueries: RuleQueries {
    private let memory: SampleMemory
    private let engine: PromQLEngine

    package init(memory: SampleMemory, options: PromQLOptions = PromQLOptions()) {
        self.memory = memory
        engine = PromQLEngine(reader: memory, options: options)
    }

    package func run<T: Sendable>(
        as tenant: Tenant, _ work: @escaping @Sendable (any RuleQuerying) throws -> T
    ) async throws -> T {
        try work(
            EngineQuerying(
                metrics: engine, series: memory, tenant: .anonymous, context: ReadContext()))
    }
}
