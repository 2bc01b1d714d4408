// SPDX-License-Identifier: Apache-2.0
// Names of OTLP metrics, units and attributes in Prometheus.

import Base

/// How OTLP's names become Prometheus' names. Raw values are those of Prometheus' configuration.
package enum TranslationStrategy: String, Sendable, CaseIterable {
    case underscoreEscapingWithSuffixes = "UnderscoreEscapingWithSuffixes"
    case underscoreEscapingWithoutSuffixes = "UnderscoreEscapingWithoutSuffixes"
    case noUTF8EscapingWithSuffixes = "NoUTF8EscapingWithSuffixes"
    case noTranslation = "NoTranslation"

    /// Whether names keep only letters, digits, underscores and colons.
    var escapes: Bool {
        self == .underscoreEscapingWithSuffixes || self == .underscoreEscapingWithoutSuffixes
    }
    /// Whether unit and type are appended to the name.
    var addsSuffixes: Bool {
        self == .underscoreEscapingWithSuffixes || self == .noUTF8EscapingWithSuffixes
    }
}

/// Names one metric. Once per metric, so it works with strings.
///
/// Source: prometheus/otlptranslator `metric_namer.go`, `unit_namer.go`; OpenTelemetry
/// specification, "Prometheus and OpenMetrics compatibility".
enum OTLPMetricName {
    enum Kind { case gauge, monotonicSum, other }

    /// The Prometheus name, or nil when nothing but underscores would be left.
    static func translate(
        _ name: String, unit: String, _ kind: Kind, _ strategy: TranslationStrategy
    ) -> String? {
        let result =
            switch (strategy.escapes, strategy.addsSuffixes) {
            case (true, true): escapedWithSuffixes(name, unit, kind)
            case (true, false): escaped(name)
            case (false, true): withSuffixes(name, unit, kind)
            case (false, false): name
            }
        if result.isEmpty { return nil }
        if result != name, strategy.escapes, result.utf8.allSatisfy({ $0 == UInt8(ascii: "_") }) {
            return nil
        }
        return result
    }

    private static func tokens(_ name: String, keepUnderscores: Bool) -> [String] {
        name.unicodeScalars.split { scalar in
            !(isNameScalar(scalar) || keepUnderscores && scalar == "_")
        }.map { String(Substring($0)) }
    }

    private static func isNameScalar(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", ":": true
        default: false
        }
    }

    private static func notDigitFirst(_ name: String) -> String {
        guard let first = name.utf8.first, first &- UInt8(ascii: "0") < 10 else { return name }
        return "_" + name
    }

    private static func escaped(_ name: String) -> String {
        notDigitFirst(tokens(name, keepUnderscores: true).joined(separator: "_"))
    }

    private static func escapedWithSuffixes(
        _ name: String, _ unit: String, _ kind: Kind
    ) -> String {
        var tokens = tokens(name, keepUnderscores: false)
        var (main, per) = suffixes(of: unit)
        main = cleaned(main)
        per = cleaned(per)
        if tokens.contains(main) { main = "" }
        if per == "per_" {
            per = ""
        } else {
            per = trimmed(per)
            if tokens.contains(per) { per = "" }
        }
        if !per.isEmpty { main = trimmed(main) }
        if !main.isEmpty { tokens.append(main) }
        if !per.isEmpty { tokens.append(per) }
        if kind == .monotonicSum { tokens = tokens.filter { $0 != "total" } + ["total"] }
        // Other types of unit 1 count something; only a gauge is a ratio.
        if unit == "1", kind == .gauge { tokens = tokens.filter { $0 != "ratio" } + ["ratio"] }
        return notDigitFirst(tokens.joined(separator: "_"))
    }

    private static func withSuffixes(_ name: String, _ unit: String, _ kind: Kind) -> String {
        var name = name
        let isRatio = unit == "1" && kind == .gauge
        if isRatio { name = without(name, "ratio") }
        if kind == .monotonicSum { name = without(name, "total") }
        let (main, per) = suffixes(of: unit)
        if !per.isEmpty { name = without(name, per) }
        if !main.isEmpty, !name.hasSuffix(main) { name += "_" + main }
        if !per.isEmpty { name += "_" + per }
        if kind == .monotonicSum { name += "_total" }
        if isRatio { name += "_ratio" }
        return name
    }

    /// The name without a suffix and the character before it.
    private static func without(_ name: String, _ suffix: String) -> String {
        guard name.hasSuffix(suffix), name.utf8.count > suffix.utf8.count + 1 else { return name }
        return String(name.dropLast(suffix.count + 1))
    }

    private static func trimmed(_ text: String) -> String {
        text.hasSuffix("_") ? String(text.dropLast()) : text
    }

    /// Only name characters, single underscores, none in front.
    private static func cleaned(_ unit: String) -> String {
        var result = ""
        for scalar in unit.unicodeScalars {
            if isNameScalar(scalar) {
                result.unicodeScalars.append(scalar)
            } else if !result.isEmpty, result.last != "_" {
                result += "_"
            }
        }
        return result
    }

    // MARK: units

    /// Unit as Prometheus' metadata has it, whatever the strategy: "By/s" is `bytes_per_second`.
    static func unit(_ unit: String) -> String {
        var (main, per) = suffixes(of: unit)
        main = cleaned(main)
        per = cleaned(per)
        let joined = main.isEmpty || per.isEmpty ? main + per : main + "_" + per
        return trimmed(joined.hasPrefix("_") ? String(joined.dropFirst()) : joined)
    }

    private static func suffixes(of unit: String) -> (main: String, per: String) {
        let parts = unit.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        func part(_ i: Int) -> String {
            guard i < parts.count else { return "" }
            let text = trimmingBlanks(parts[i])
            return text.contains("{") || text.contains("}") ? "" : text
        }
        let main = part(0), per = part(1)
        return (
            main.isEmpty ? "" : mainUnits[main] ?? main,
            per.isEmpty ? "" : "per_" + (perUnits[per] ?? per)
        )
    }

    private static func trimmingBlanks(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }

    private static let mainUnits: [String: String] = [
        "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds",
        "us": "microseconds", "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes",
        "MiBy": "mebibytes", "GiBy": "gibibytes", "TiBy": "tibibytes", "KBy": "kilobytes",
        "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes", "m": "meters", "V": "volts",
        "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
        "Hz": "hertz", "1": "", "%": "percent",
    ]
    private static let perUnits: [String: String] = [
        "s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month",
        "y": "year",
    ]
}
