// SPDX-License-Identifier: Apache-2.0
// Parts of PromQL that are switched on by name.

import PromQL

/// What `--enable-feature` switches on, under Prometheus' names and off like there until named.
///
/// Source: prometheus/prometheus `cmd/prometheus/main.go`, `docs/feature_flags.md`.
package struct QueryFeatures: Sendable, Equatable {
    package var experimentalFunctions = false
    package var extendedRangeSelectors = false
    package var fillModifiers = false
    package var delayedNameRemoval = false
    package var useStartTimestamps = false
    /// `stats=all` shows samples by step.
    package var perStepStatistics = false

    package init() {}

    private static let switches: [(name: String, switchOn: @Sendable (inout Self) -> Void)] = [
        ("promql-binop-fill-modifiers", { $0.fillModifiers = true }),
        ("promql-delayed-name-removal", { $0.delayedNameRemoval = true }),
        ("promql-experimental-functions", { $0.experimentalFunctions = true }),
        ("promql-extended-range-selectors", { $0.extendedRangeSelectors = true }),
        ("promql-per-step-stats", { $0.perStepStatistics = true }),
        ("use-start-timestamps", { $0.useStartTimestamps = true }),
    ]
    /// Names of Prometheus whose feature is always on here; a command line may still hold them.
    private static let alwaysOn: Set<String> = [
        "exemplar-storage", "native-histograms", "otlp-write-receiver", "promql-at-modifier",
        "promql-duration-expr", "promql-negative-offset", "remote-write-receiver",
    ]

    /// Names that switch something, ascending.
    package static var names: [String] { switches.map(\.name) }

    /// Switches on what a comma-separated list names.
    ///
    /// - Returns: the first name that is none, or nil.
    package mutating func enable(_ list: String) -> String? {
        for word in list.split(separator: ",") {
            let name = String(word.filter { $0 != " " })
            if let feature = Self.switches.first(where: { $0.name == name }) {
                feature.switchOn(&self)
            } else if !Self.alwaysOn.contains(name) {
                return name
            }
        }
        return nil
    }

    /// The names of what is on, ascending.
    package var enabled: [String] {
        Self.switches.filter { feature in
            var other = self
            feature.switchOn(&other)
            return other == self
        }.map(\.name)
    }

    package var parser: ParserOptions {
        var options = ParserOptions()
        options.experimentalFunctions = experimentalFunctions
        options.extendedRangeSelectors = extendedRangeSelectors
        options.fillModifiers = fillModifiers
        return options
    }

    /// The engine's settings, but for the look-back.
    package var promQL: PromQLOptions {
        var options = PromQLOptions()
        options.delayedNameRemoval = delayedNameRemoval
        options.useStartTimestamps = useStartTimestamps
        options.parser = parser
        return options
    }
}
