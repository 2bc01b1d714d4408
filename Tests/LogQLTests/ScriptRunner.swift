// SPDX-License-Identifier: Apache-2.0
// Runs scripts against the engine.

import Base
import LogQL
import PromQL
import Telemetry
import TestKit

/// 2026-01-01T00:00:00Z.
let scriptEpochNanos: Int64 = 1_767_225_600_000_000_000

struct ScriptRunner {
    private var logs = InMemoryLogs()
    private(set) var passed = 0
    private(set) var failures: [String] = []

    mutating func run(_ script: Script) {
        for command in script.commands {
            switch command {
            case .clear: logs = InMemoryLogs()
            case .load(let loads): for load in loads { add(load) }
            case .evaluate(let evaluation):
                if let reason = judge(evaluation) {
                    failures.append("line \(evaluation.line): \(evaluation.query)\n      \(reason)")
                } else {
                    passed += 1
                }
            }
        }
    }

    private mutating func add(_ load: Script.Load) {
        let stream = Labels(load.stream.map { ($0.key, $0.value) })
        let metadata = Labels(load.metadata.map { ($0.key, $0.value) })
        for i in 0..<load.count {
            logs.add(
                stream, nanos: scriptEpochNanos + load.start + Int64(i) * load.step,
                load.text.replacing("{{.i}}", with: "\(i)"), metadata: metadata)
        }
    }

    /// Nil when the evaluation came out as expected.
    private func judge(_ evaluation: Script.Evaluation) -> String? {
        let result: MetricResult
        do {
            let expression = try LogQLParser.parseMetricQuery(evaluation.query)
            let engine = LogQLEngine(reader: logs)
            let context = ReadContext()
            if evaluation.step == 0 {
                result = try engine.queryInstant(
                    expression, tenant: .anonymous, atNanos: scriptEpochNanos + evaluation.start,
                    context)
            } else {
                let steps = try EvaluationSteps(
                    startNanos: scriptEpochNanos + evaluation.start,
                    endNanos: scriptEpochNanos + evaluation.end, stepNanos: evaluation.step)
                result = try engine.queryRange(expression, tenant: .anonymous, steps, context)
            }
        } catch {
            return judgeFailure(evaluation, "\(error)")
        }
        if evaluation.failure != nil { return "should fail" }
        switch result.value {
        case .scalar(let value):
            if let scalar = evaluation.scalar {
                return isClose(value, scalar) ? nil : "\(value), not \(scalar)"
            }
            // A number over a range is one series without labels.
            let values = [Double?](repeating: value, count: result.steps.count)
            return compare([("{}", values)], evaluation)
        case .series(let series):
            if evaluation.scalar != nil { return "a vector, not a scalar" }
            return compare(
                series.map { item in
                    let values = (0..<item.column.count).map { step in
                        item.column.kinds[step] == .float ? item.column.values[step] : nil
                    }
                    return (text(item.labels.pairs.map { ($0.name, $0.value) }), values)
                }, evaluation)
        }
    }

    private func judgeFailure(_ evaluation: Script.Evaluation, _ text: String) -> String? {
        switch evaluation.failure {
        case nil: return "fails: \(text)"
        case .any: return nil
        case .contains(let part): return text.contains(part) ? nil : "\(text)\n      not: \(part)"
        case .matches(let pattern):
            let matches = (try? RegularExpression(pattern))?.matchesAnywhere(text) ?? false
            return matches ? nil : "\(text)\n      not: \(pattern)"
        }
    }

    private func text(_ pairs: [(String, String)]) -> String {
        "{" + pairs.sorted { $0.0 < $1.0 }.map { "\($0.0)=\($0.1)" }.joined(separator: ", ") + "}"
    }

    private func compare(
        _ actual: [(labels: String, values: [Double?])], _ evaluation: Script.Evaluation
    ) -> String? {
        let expected = evaluation.expected.map { item in
            (labels: text(item.labels.map { ($0.key, $0.value) }), values: item.values)
        }
        if evaluation.isOrdered, actual.map(\.labels) != expected.map(\.labels) {
            return "order: \(actual.map(\.labels))"
        }
        var rest = actual
        for item in expected {
            guard let i = rest.firstIndex(where: { $0.labels == item.labels }) else {
                return "missing \(item.labels); got \(actual)"
            }
            let found = rest.remove(at: i)
            let same =
                found.values.count == item.values.count
                && zip(found.values, item.values).allSatisfy { a, b in
                    switch (a, b) {
                    case (nil, nil): true
                    case (let a?, let b?): isClose(a, b)
                    default: false
                    }
                }
            if !same { return "\(item.labels): \(found.values), not \(item.values)" }
        }
        return rest.isEmpty ? nil : "too many: \(rest)"
    }

    private func isClose(_ a: Double, _ b: Double) -> Bool {
        if a.isNaN || b.isNaN { return a.isNaN && b.isNaN }
        if a == b { return true }
        return abs(a - b) / max(abs(a), abs(b)) <= 1e-9
    }
}
