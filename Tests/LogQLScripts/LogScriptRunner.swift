// SPDX-License-Identifier: Apache-2.0
// Runs scripts against whatever answers LogQL.

import Base

/// 2026-01-01T00:00:00Z.
package let scriptEpochNanos: Int64 = 1_767_225_600_000_000_000

/// What a metric query answers.
package enum LogScriptAnswer {
    case scalar(Double)
    /// In the order of the answer; values by step, nil where there is no point.
    case series([(labels: [String: String], values: [Double?])])
}

/// Takes lines and answers queries.
package protocol LogScriptTarget {
    /// Forgets everything loaded.
    mutating func clear()
    mutating func load(_ loads: [LogScript.Load]) throws
    /// - Parameters:
    ///   - startNanos: since 1970, as all times here.
    ///   - stepNanos: 0 = an instant query at the start.
    /// - Throws: whose text is the answer's error.
    func query(
        _ text: String, startNanos: Int64, endNanos: Int64, stepNanos: Int64
    ) throws -> LogScriptAnswer
}

package struct LogScriptRunner<Target: LogScriptTarget> {
    private var target: Target
    package private(set) var passed = 0
    package private(set) var failures: [String] = []

    package init(_ target: Target) { self.target = target }

    package mutating func run(_ script: LogScript) throws {
        for command in script.commands {
            switch command {
            case .clear: target.clear()
            case .load(let loads): try target.load(loads)
            case .evaluate(let evaluation):
                if let reason = judge(evaluation) {
                    failures.append("line \(evaluation.line): \(evaluation.query)\n      \(reason)")
                } else {
                    passed += 1
                }
            }
        }
    }

    /// Nil when the evaluation came out as expected.
    private func judge(_ evaluation: LogScript.Evaluation) -> String? {
        let answer: LogScriptAnswer
        do {
            answer = try target.query(
                evaluation.query, startNanos: scriptEpochNanos + evaluation.start,
                endNanos: scriptEpochNanos + evaluation.end, stepNanos: evaluation.step)
        } catch {
            return judgeFailure(evaluation, "\(error)")
        }
        if evaluation.failure != nil { return "should fail" }
        switch answer {
        case .scalar(let value):
            if let scalar = evaluation.scalar {
                return isClose(value, scalar) ? nil : "\(value), not \(scalar)"
            }
            // A number over a range is one series without labels.
            let steps =
                evaluation.step == 0
                ? 1 : Int((evaluation.end - evaluation.start) / evaluation.step) + 1
            return compare([("{}", [Double?](repeating: value, count: steps))], evaluation)
        case .series(let series):
            if evaluation.scalar != nil { return "a vector, not a scalar" }
            return compare(
                series.map { item in
                    (text(item.labels.map { ($0.key, $0.value) }), item.values)
                }, evaluation)
        }
    }

    private func judgeFailure(_ evaluation: LogScript.Evaluation, _ text: String) -> String? {
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
        _ actual: [(labels: String, values: [Double?])], _ evaluation: LogScript.Evaluation
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
