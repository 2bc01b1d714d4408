// SPDX-License-Identifier: Apache-2.0
// Relabelling rules and their validation.

import Base
import Telemetry

/// A relabelling rule that cannot be used.
package struct RelabelError: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
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
        do throws(RegexError) {
            expression = try RegularExpression(
                "^(?s:" + definition.regex + ")$", [])
        } catch { throw RelabelError(error.description) }
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
