// SPDX-License-Identifier: Apache-2.0
// Scripts against the engine alone.

import Base
import LogQL
import PromQL
import Telemetry
import TestKit

package struct MemoryLogTarget: LogScriptTarget {
    private var logs = InMemoryLogs()

    package init() {}

    package mutating func clear() { logs = InMemoryLogs() }

    package mutating func load(_ loads: [LogScript.Load]) {
        for load in loads {
            let stream = Labels(load.stream.map { ($0.key, $0.value) })
            let metadata = Labels(load.metadata.map { ($0.key, $0.value) })
            for i in 0..<load.count {
                logs.add(
                    stream, nanos: scriptEpochNanos + load.start + Int64(i) * load.step,
                    load.line(i), metadata: metadata)
            }
        }
    }

    package func query(
        _ text: String, startNanos: Int64, endNanos: Int64, stepNanos: Int64
    ) throws -> LogScriptAnswer {
        let expression = try LogQLParser.parseMetricQuery(text)
        let engine = LogQLEngine(reader: logs)
        let context = ReadContext()
        let result =
            stepNanos == 0
            ? try engine.queryInstant(
                expression, tenant: .anonymous, atNanos: startNanos, context)
            : try engine.queryRange(
                expression, tenant: .anonymous,
                try EvaluationSteps(
                    startNanos: startNanos, endNanos: endNanos, stepNanos: stepNanos), context)
        switch result.value {
        case .scalar(let value): return .scalar(value)
        case .series(let series):
            return .series(
                series.map { item in
                    let labels = item.labels.pairs.map { ($0.name, $0.value) }
                    let values = (0..<item.column.count).map { step in
                        item.column.kinds[step] == .float ? item.column.values[step] : nil
                    }
                    return (Dictionary(labels, uniquingKeysWith: { a, _ in a }), values)
                })
        }
    }
}
