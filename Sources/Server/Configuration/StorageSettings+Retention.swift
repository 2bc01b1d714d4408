// SPDX-License-Identifier: Apache-2.0
// Retention by selector: ours, beside Prometheus' keys.

import MetricStore
import PromQL
import Storage
import Telemetry
import Yams

extension StorageSettings {
    /// Most rules: each costs every series some 100 ns whenever it is sealed or merged.
    static let maxRetentionRules = 64
    /// Most selectors of one rule, and bytes of one selector.
    static let maxSelectors = 64
    static let maxSelectorBytes = 512

    /// `retention`, a list of rules:
    ///
    ///     storage:
    ///       retention:
    ///         - match: ['{job="debug"}']
    ///           time: 2d
    ///
    /// - Throws: for a rule without selectors or time, a selector that does not parse, a time of 0.
    static func retentionRules(
        _ section: inout YAMLSection
    ) throws(ConfigurationError) -> [MetricRetention] {
        var rules: [MetricRetention] = []
        for rule in try section.sections("retention") {
            var rule = rule
            let texts = try rule.strings("match") ?? []
            guard !texts.isEmpty, texts.count <= Self.maxSelectors else {
                throw rule.failure(
                    "match in a rule of storage.retention must list 1 to \(Self.maxSelectors) "
                        + "selectors such as '{job=\"debug\"}'")
            }
            var selectors: [[LabelMatcher]] = []
            for text in texts {
                guard text.utf8.count <= Self.maxSelectorBytes else {
                    throw rule.failure(
                        "a selector of storage.retention has at most \(Self.maxSelectorBytes) bytes"
                    )
                }
                do throws(ParseError) {
                    selectors.append(try parseSelector(text))
                } catch {
                    throw rule.failure("match '\(text)' in storage.retention: \(error)")
                }
            }
            guard let seconds = try rule.duration("time"), seconds > 0 else {
                throw rule.failure(
                    "a rule of storage.retention needs a time above 0, for example time: 2d")
            }
            try rule.finish()
            rules.append(MetricRetention(selectors: selectors, seconds: seconds))
        }
        guard rules.count <= Self.maxRetentionRules else {
            throw section.failure(
                "storage.retention has \(rules.count) rules, the most are \(Self.maxRetentionRules)"
            )
        }
        var names: Set<String> = []
        for rule in rules where !names.insert(rule.rule.name).inserted {
            throw section.failure(
                "storage.retention has two rules for the same selectors: "
                    + rule.rule.name.dropFirst("metrics ".count))
        }
        return rules
    }
}
