// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them.

import Base

/// Source: prometheus/common `helpers/templates` and prometheus/prometheus `template/template.go`.
enum HumanNumbers {
    private static let large = ["k", "M", "G", "T", "P", "E", "Z", "Y"]
    private static let small = ["m", "u", "n", "p", "f", "a", "z", "y"]
    private static let binary = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]

    /// Go's `%.4g`.
    static func short(_ value: Double) -> String { floatGeneralText(value, digits: 4) }

    static func humanize(_ value: Double) -> String {
        if value == 0 || !value.isFinite { return short(value) }
        if abs(value) >= 1 {
            let (scaled, prefix) = reduced(value, by: 1000, large)
            return short(scaled) + prefix
        }
        let (scaled, prefix) = enlarged(value)
        return short(scaled) + prefix
    }

    static func humanize1024(_ value: Double) -> String {
        if abs(value) <= 1 || !value.isFinite { return short(value) }
        let (scaled, prefix) = reduced(value, by: 1024, binary)
        return short(scaled) + prefix
    }

    static func humanizePercentage(_ value: Double) -> String { short(value * 100) + "%" }

    /// - Parameter value: seconds.
    static func humanizeDuration(_ value: Double) -> String {
        guard value.isFinite else { return short(value) }
        if value == 0 { return short(value) + "s" }
        guard abs(value) >= 1 else {
            let (scaled, prefix) = enlarged(value)
            return short(scaled) + prefix + "s"
        }
        let sign = value < 0 ? "-" : ""
        let whole = Int64(exactly: abs(value).rounded(.down)) ?? .max
        let (seconds, minutes) = (whole % 60, whole / 60 % 60)
        let (hours, days) = (whole / 3600 % 24, whole / 86_400)
        if days != 0 { return "\(sign)\(days)d \(hours)h \(minutes)m \(seconds)s" }
        if hours != 0 { return "\(sign)\(hours)h \(minutes)m \(seconds)s" }
        if minutes != 0 { return "\(sign)\(minutes)m \(seconds)s" }
        return sign + short(abs(value)) + "s"
    }

    private static func reduced(
        _ value: Double, by factor: Double, _ prefixes: [String]
    ) -> (Double, String) {
        var value = value
        var prefix = ""
        for next in prefixes {
            if abs(value) < factor { break }
            prefix = next
            value /= factor
        }
        return (value, prefix)
    }

    private static func enlarged(_ value: Double) -> (Double, String) {
        var value = value
        var prefix = ""
        for next in small {
            if abs(value) >= 1 { break }
            prefix = next
            value *= 1000
        }
        return (value, prefix)
    }
}
