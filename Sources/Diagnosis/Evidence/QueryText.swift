// SPDX-License-Identifier: Apache-2.0
// Pieces of queries.

import Base
import Telemetry

/// Conditions as TraceQL.
enum TraceQLText {
    static func condition(_ condition: SpanCondition) -> String {
        let value =
            switch (condition.subject, condition.value) {
            case (.intrinsic(.duration), .int(let nanos)): duration(nanos)
            case (.intrinsic(.status), .int(let code)): ["unset", "ok", "error"][Int(code) % 3]
            case (.intrinsic(.kind), .int(let kind)):
                ["unspecified", "internal", "server", "client", "producer", "consumer"][
                    Int(kind) % 6]
            case (_, .string(let text)): quoted(text)
            default: "nil"
            }
        let operation =
            switch condition.operation {
            case .greater: ">"
            case .matches: "=~"
            default: "="
            }
        return "\(subject(condition.subject)) \(operation) \(value)"
    }

    private static func subject(_ subject: SpanCondition.Subject) -> String {
        switch subject {
        case .attribute(.resource, let key): "resource." + key
        case .attribute(_, let key): "span." + key
        case .intrinsic(let intrinsic): "\(intrinsic)"
        }
    }

    /// Whole milliseconds, as they are compared.
    static func duration(_ nanos: Int64) -> String { "\(nanos / 1_000_000)ms" }
}

/// A length of time as PromQL and LogQL write it: `2m`, `59s500ms`.
func durationText(_ millis: Int64) -> String {
    if millis % 60_000 == 0 { return "\(millis / 60_000)m" }
    if millis % 1000 == 0 { return "\(millis / 1000)s" }
    return millis < 1000 ? "\(millis)ms" : "\(millis / 1000)s\(millis % 1000)ms"
}

/// Three significant digits at most beyond the point.
func numberText(_ value: Double) -> String {
    guard abs(value) < 1e15 else { return "\(value)" }
    if value == value.rounded() { return "\(Int64(value))" }
    let scale: Double = abs(value) >= 100 ? 1 : abs(value) >= 1 ? 100 : 10_000
    let rounded = (value * scale).rounded() / scale
    return rounded == rounded.rounded() ? "\(Int64(rounded))" : "\(rounded)"
}

/// `2.0 s`, `93 ms`, `1.4 ms`.
func timeText(_ nanos: Int64) -> String {
    let value = Double(nanos)
    if value >= 1e9 { return "\((value / 1e8).rounded() / 10) s" }
    if value >= 1e7 { return "\(Int64((value / 1e6).rounded())) ms" }
    if value >= 1e5 { return "\((value / 1e5).rounded() / 10) ms" }
    return "\(Int64((value / 1e3).rounded())) µs"
}
