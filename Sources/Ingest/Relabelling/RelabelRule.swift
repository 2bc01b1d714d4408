// SPDX-License-Identifier: Apache-2.0
// Relabelling rules and their validation.

import Base
import Telemetry

/// A relabelling rule that cannot be used.
package struct RelabelError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// Which names of metrics and labels are valid. Source: prometheus/common `model/metric.go`.
package enum NameScheme: String, Sendable, CaseIterable {
    /// Any UTF-8 text but the empty one.
    case utf8
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, in names of metrics also colons.
    case legacy

    package func isValidLabelName(_ name: String) -> Bool {
        self == .utf8 ? !name.isEmpty : isLegacyLabelName(name)
    }

    package func isValidMetricName(_ name: String) -> Bool {
        // A colon is as good as an underscore, at any place.
        self == .utf8
            ? !name.isEmpty : isLegacyLabelName(String(name.map { $0 == ":" ? "_" : $0 }))
    }

    /// Whether a text with references such as `${1}` can become a label name.
    package func isValidLabelTemplate(_ text: String) -> Bool {
        if self == .utf8 { return !text.isEmpty }
        var rest = text.utf8[...]
        var isFirst = true
        while let byte = rest.first {
            if byte == UInt8(ascii: "$") {
                rest = rest.dropFirst()
                let isBraced = rest.first == UInt8(ascii: "{")
                if isBraced { rest = rest.dropFirst() }
                let name = rest.prefix(while: isWordByte)
                if name.isEmpty { return false }
                rest = rest[name.endIndex...]
                if isBraced {
                    guard rest.first == UInt8(ascii: "}") else { return false }
                    rest = rest.dropFirst()
                }
            } else {
                guard isWordByte(byte),
                    !isFirst || !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                else { return false }
                rest = rest.dropFirst()
            }
            isFirst = false
        }
        return !isFirst
    }
}

private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        true
    default: false
    }
}

/// One relabelling step. Source: prometheus/prometheus `model/relabel`.
package struct RelabelRule: Sendable {
    package enum Action: String, Sendable, CaseIterable {
        case replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, labelkeep
        case lowercase, uppercase
    }

    /// A rule as configured, before validation; the defaults are Prometheus'.
    package struct Definition: Sendable, Equatable {
        package var sourceLabels: [String] = []
        package var separator = ";"
        package var regex = "(.*)"
        package var modulus: UInt64 = 0
        package var targetLabel = ""
        package var replacement = "$1"
        package var action = "replace"
        /// Which label names it may make.
        package var names = NameScheme.utf8
        package init() {}
    }

    /// As configured.
    package let definition: Definition
    let sourceLabels: [String]
    let separator: [UInt8]
    let expression: RegularExpression
    let modulus: UInt64
    let targetLabel: String
    let replacement: String
    let action: Action

    /// - Throws: `RelabelError` with Prometheus' wording.
    package init(_ definition: Definition) throws(RelabelError) {
        // What the rule does with it can be said of an expression only.
        do throws(RegexError) {
            expression = try RegularExpression("^(?s:" + definition.regex + ")$", [])
        } catch { throw RelabelError(error.description) }
        if definition.action.isEmpty { throw RelabelError("relabel action cannot be empty") }
        guard let action = Action(rawValue: definition.action.lowercased()) else {
            throw RelabelError("unknown relabel action \"\(definition.action)\"")
        }
        let name = definition.action
        if action == .hashmod, definition.modulus == 0 {
            throw RelabelError("relabel configuration for hashmod requires non-zero modulus")
        }
        let needsTarget: [Action] = [
            .replace, .keepequal, .dropequal, .hashmod, .lowercase, .uppercase,
        ]
        if needsTarget.contains(action), definition.targetLabel.isEmpty {
            throw RelabelError(
                "relabel configuration for \(name) action requires 'target_label' value")
        }
        let target = definition.targetLabel
        let mayRefer = action == .replace && target.contains("$")
        if needsTarget.contains(action),
            !(mayRefer
                ? definition.names.isValidLabelTemplate(target)
                : definition.names.isValidLabelName(target))
        {
            throw RelabelError(
                "\(quoted(target)) is invalid 'target_label' for \(name) action")
        }
        if action == .labelmap, !definition.names.isValidLabelTemplate(definition.replacement) {
            throw RelabelError(
                "\(quoted(definition.replacement)) is invalid 'replacement' for \(name) action")
        }
        if [.lowercase, .uppercase, .keepequal, .dropequal].contains(action),
            definition.replacement != "$1"
        {
            throw RelabelError("'replacement' can not be set for \(name) action")
        }
        if action == .keepequal || action == .dropequal,
            definition.regex != "(.*)" || definition.modulus != 0 || definition.separator != ";"
        {
            throw RelabelError(
                "\(name) action requires only 'source_labels' and `target_label`, and no other "
                    + "fields")
        }
        if action == .labeldrop || action == .labelkeep,
            !definition.sourceLabels.isEmpty || !definition.targetLabel.isEmpty
                || definition.modulus != 0 || definition.separator != ";"
                || definition.replacement != "$1"
        {
            throw RelabelError("\(name) action requires only 'regex', and no other fields")
        }
        self.definition = definition
        sourceLabels = definition.sourceLabels
        separator = Array(definition.separator.utf8)
        modulus = definition.modulus
        targetLabel = definition.targetLabel
        replacement = definition.replacement
        self.action = action
    }
}

extension RelabelRule: Equatable {
    package static func == (a: RelabelRule, b: RelabelRule) -> Bool {
        a.definition == b.definition
    }
}
