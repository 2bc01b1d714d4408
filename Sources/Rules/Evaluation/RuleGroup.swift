// SPDX-License-Identifier: Apache-2.0
// One group at one time.

import Base
import Ingest
import PromQL
import Synchronization
import Telemetry

/// A group's rules with what their evaluations left behind.
///
/// Source: prometheus/prometheus `rules/group.go`.
package final class RuleGroup: Sendable {
    /// Counters since the group came into force, and figures of the last evaluation.
    package struct Status: Sendable {
        package var lastEvaluationNanos: Int64 = 0
        package var durationSeconds = 0.0
        package var ruleSeconds = 0.0
        package var samples = 0
        package var evaluations = 0
        package var failures = 0
        package var iterations = 0
        package var missedIterations = 0
        package var restoreSeconds = 0.0
    }

    struct State: Sendable {
        var status = Status()
        /// What each rule wrote last.
        var written: [Set<Labels>]
        /// Series of rules that are no more; marked stale by the next evaluation.
        var leftBehind: Set<Labels> = []
        var needsRestoring: Bool
        var task: Task<Void, Never>?
        /// The evaluation under way.
        var evaluation: Task<Void, Never>?
        var isStopped = false
    }

    package let definition: RuleGroupDefinition
    package let rules: [Rule]
    let steps: [[Int]]
    package let environment: RuleEnvironment
    let state: Mutex<State>

    /// - Parameter restores: whether `for` is to be taken up from what an earlier process wrote.
    package init(
        _ definition: RuleGroupDefinition, _ environment: RuleEnvironment, restores: Bool = false,
        parser: ParserOptions = ParserOptions()
    ) {
        self.definition = definition
        self.environment = environment
        rules = definition.rules.map {
            Rule($0, definition, isRestored: !restores, parser: parser)
        }
        steps = evaluationSteps(rules.map(\.access))
        state = Mutex(
            State(
                written: [Set<Labels>](repeating: [], count: rules.count),
                needsRestoring: restores && rules.contains { $0.definition.isAlert }))
    }

    package var status: Status { state.withLock { $0.status } }
    /// Whether the last evaluations had anything to say: a recorded series, a pending or firing alert.
    package var hasWritten: Bool { state.withLock { $0.written.contains { !$0.isEmpty } } }

    /// Evaluates all rules with `nanos` as their time, writes what they say and sends their alerts.
    /// Returns when all of it is durable.
    package func evaluate(atNanos nanos: Int64) async {
        var samples = 0
        for step in steps { samples += await evaluate(step: step, atNanos: nanos) }
        await markLeftBehind(atNanos: nanos)
        state.withLock { $0.status.samples = samples }
    }

    /// Evaluates rules that do not depend on each other. Those that get no slot run here, one by one.
    private func evaluate(step: [Int], atNanos nanos: Int64) async -> Int {
        await withTaskGroup(of: Int.self) { tasks in
            var samples = 0
            for (place, index) in step.enumerated() {
                if place + 1 < step.count, environment.slots.take() {
                    tasks.addTask { [self] in
                        defer { environment.slots.give() }
                        return await evaluate(rule: index, atNanos: nanos)
                    }
                } else {
                    samples += await evaluate(rule: index, atNanos: nanos)
                }
            }
            for await count in tasks { samples += count }
            return samples
        }
    }

    /// - Returns: how many samples the rule made.
    private func evaluate(rule index: Int, atNanos nanos: Int64) async -> Int {
        let rule = rules[index]
        let clock = environment.clock
        let started = clock.monotonicNanos
        let wall = clock.wallNanos
        defer {
            let now = clock.monotonicNanos
            rule.setTimes(atNanos: wall, durationSeconds: Double(now &- started) / 1e9)
            environment.durations.rules.observe(nanos: now &- started, atMonotonicNanos: now)
        }
        let report = environment.report
        let name = definition.key
        let moment = RuleMoment(
            nanos: nanos, offsetMillis: definition.queryOffsetMillis,
            windowMillis: definition.intervalMillis, limit: definition.limit,
            surroundings: environment.surroundings
        ) { report("group \(name): \($0)") }
        state.withLock { $0.status.evaluations += 1 }
        let samples: [RuleSample]
        do {
            samples = try await environment.queries.run(as: definition.tenant) {
                try rule.evaluate(moment, $0)
            }
        } catch {
            fail(rule, "\(error)")
            return 0
        }
        rule.setSuccess()
        if rule.definition.isAlert, let receiver = environment.receiver {
            await diagnose(rule, atNanos: nanos)
            let due = rule.takeDue(
                atNanos: nanos, intervalMillis: definition.intervalMillis, environment)
            if !due.isEmpty { receiver.receive(due) }
        }
        await write(samples, of: index, millis: millisRoundedDown(moment.queryNanos))
        return samples.count
    }

    private func fail(_ rule: Rule, _ reason: String) {
        rule.setFailure(reason)
        state.withLock { $0.status.failures += 1 }
        // What is cut off by the end of the process is no failure worth a line.
        if !Task.isCancelled {
            environment.report("group \(definition.key): rule \(rule.name): \(reason)")
        }
    }

    private func write(_ samples: [RuleSample], of index: Int, millis: Int64) async {
        var batch = MetricBatch()
        var written: Set<Labels> = []
        for sample in samples {
            let series = batch.addSeries(sample.labels)
            switch sample.value {
            case .float(let value): batch.addSample(series: series, millis: millis, value: value)
            case .histogram(let histogram):
                batch.addHistogram(series: series, millis: millis, histogram)
            }
            written.insert(sample.labels)
        }
        let before = state.withLock { $0.written[index] }
        batch.addStaleMarkers(before.subtracting(written), millis: millis)
        guard !batch.isEmpty else { return }
        do throws(IngestError) {
            let report = try await environment.sink.write(
                metrics: batch, tenant: definition.tenant)
            if !report.refusals.isEmpty { fail(rules[index], report.refusals.summary) }
            state.withLock { $0.written[index] = written }
        } catch { fail(rules[index], error.description) }
    }

    private func markLeftBehind(atNanos nanos: Int64) async {
        let left = state.withLock { $0.leftBehind }
        guard !left.isEmpty else { return }
        if await mark(left, atNanos: nanos) {
            state.withLock { $0.leftBehind.subtract(left) }
        }
    }

    /// Marks all series of the group stale, once nobody evaluates it any more.
    ///
    /// - Parameter isLive: whether another group writes a series now.
    func markAll(atNanos nanos: Int64, except isLive: (Labels) -> Bool) async {
        let all = state.withLock { state in
            state.written.reduce(into: state.leftBehind) { $0.formUnion($1) }
        }
        _ = await mark(all.filter { !isLive($0) }, atNanos: nanos)
    }

    private func mark(_ series: Set<Labels>, atNanos nanos: Int64) async -> Bool {
        var batch = MetricBatch()
        batch.addStaleMarkers(
            series, millis: millisRoundedDown(nanos) &- definition.queryOffsetMillis)
        if batch.isEmpty { return true }
        do throws(IngestError) {
            let report = try await environment.sink.write(
                metrics: batch, tenant: definition.tenant)
            if !report.refusals.isEmpty {
                environment.report(
                    "group \(definition.key): stale markers refused: \(report.refusals.summary)")
            }
            return true
        } catch {
            environment.report("group \(definition.key): stale markers not stored: \(error)")
            return false
        }
    }

    /// Whether the last evaluations wrote a series.
    func isWriting(_ series: Labels) -> Bool {
        state.withLock { $0.written.contains { $0.contains(series) } }
    }

    /// Takes over from an earlier version of the group: rules of the same name and labels keep their
    /// series and alerts, series of the others will be marked stale.
    func inherit(_ other: RuleGroup) {
        struct Key: Hashable {
            var name: String
            var isAlert: Bool
            var labels: [RuleText]
            init(_ rule: Rule) {
                name = rule.name
                isAlert = rule.definition.isAlert
                labels = rule.labels
            }
        }
        let (written, left, needsRestoring) = other.state.withLock {
            ($0.written, $0.leftBehind, $0.needsRestoring)
        }
        var free: [Key: [Int]] = [:]
        for (index, rule) in other.rules.enumerated().reversed() {
            free[Key(rule), default: []].append(index)
        }
        var taken = [Set<Labels>](repeating: [], count: rules.count)
        var rest = left
        for (index, rule) in rules.enumerated() {
            guard let source = free[Key(rule)]?.popLast() else {
                rule.setRestored()
                continue
            }
            taken[index] = written[source]
            rule.inherit(other.rules[source])
        }
        for indices in free.values { for index in indices { rest.formUnion(written[index]) } }
        state.withLock { state in
            state.written = taken
            state.leftBehind = rest
            state.needsRestoring = needsRestoring
        }
    }
}

extension MetricBatch {
    fileprivate mutating func addStaleMarkers(_ series: Set<Labels>, millis: Int64) {
        for labels in series {
            addSample(series: addSeries(labels), millis: millis, value: StaleMarker.value)
        }
    }
}
