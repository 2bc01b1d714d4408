// SPDX-License-Identifier: Apache-2.0
// compare(), by listing every value of every span.

import Telemetry
import TestKit

extension NaiveTrace {
    /// What `compare()` looks at: each attribute by its name in answers, each distinct value once.
    func compared(_ i: Int) -> [(name: String, value: AttributeValue)] {
        let span = spans[i]
        var found: [(name: String, value: AttributeValue)] = []
        func add(_ name: String, _ value: NaiveValue) {
            if value == .null || value == .other { return }
            let answer = value.answer
            if !found.contains(where: { $0.name == name && "\($0.value)" == "\(answer)" }) {
                found.append((name, answer))
            }
        }
        for name in ["name", "status", "kind", "rootName", "rootServiceName", "event:name"] {
            for item in value(.intrinsic(name), i).items { add(name, item) }
        }
        for name in ["statusMessage", "instrumentation:name", "instrumentation:version"] {
            let value = value(.intrinsic(name), i)
            if value != .text("") { add(name, value) }
        }
        let service: [(String, AttributeValue)] =
            span.service.isEmpty ? [] : [("service.name", .string(span.service))]
        let lists: [(AttributeScope, [(String, AttributeValue)])] =
            [
                (.span, span.attributes), (.resource, service + span.resource),
                (.instrumentation, span.scope),
            ] + span.richEvents.map { (.event, $0.attributes) }
            + span.links.map { (.link, $0.attributes) }
        for (scope, list) in lists {
            for (key, value) in list {
                let name = NaiveAttribute.scoped(scope, key).text
                let value = NaiveValue(value)
                if scope == .event || scope == .link {
                    for item in value.items { add(name, item) }
                } else {
                    add(name, value)
                }
            }
        }
        return found
    }
}

extension NaiveMetrics {
    /// Counts by `type,name=value`, of all intervals together, without a limit.
    func compare(_ stages: [NaiveStage], _ selection: NaiveExpression) -> [String: Double] {
        var counts: [String: Double] = [:]
        for trace in traces {
            for set in trace.run(stages) {
                for i in set.spans where interval(trace.spans[i].start) != nil {
                    let side = selection.value(trace, i).isTrue ? "selection" : "baseline"
                    let values = trace.compared(i)
                    for (name, value) in values {
                        counts["\(side),\(name)=\(value)", default: 0] += 1
                    }
                    for name in Set(values.map(\.name)) {
                        counts[
                            "\(side)_total,\(name)=\(AttributeValue.string("nil"))", default: 0] +=
                            1
                    }
                }
            }
        }
        return counts
    }
}
