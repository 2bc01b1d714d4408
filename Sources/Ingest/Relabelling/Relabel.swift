// SPDX-License-Identifier: Apache-2.0
// Applying relabelling rules to a label set.

import Base
import Telemetry

/// Applies rules in order. Nil when a rule drops the set. Runs when a target or a new series is
/// first seen, not per sample.
package func relabel(_ labels: Labels, _ rules: [RelabelRule]) -> Labels? {
    if rules.isEmpty { return labels }
    var builder = LabelsBuilder(labels)
    for rule in rules where !rule.apply(to: &builder) { return nil }
    return builder.labels()
}

extension RelabelRule {
    /// Changes the labels; false = the set is dropped.
    func apply(to labels: inout LabelsBuilder) -> Bool {
        var source: [UInt8] = []
        for (index, name) in sourceLabels.enumerated() {
            if index > 0 { source.append(contentsOf: separator) }
            source.append(contentsOf: (labels[name] ?? "").utf8)
        }
        switch action {
        case .drop: return !matches(source)
        case .keep: return matches(source)
        case .dropequal: return (labels[targetLabel] ?? "") != text(source)
        case .keepequal: return (labels[targetLabel] ?? "") == text(source)
        case .replace: replace(source, &labels)
        case .lowercase: labels.set(targetLabel, text(source).lowercased())
        case .uppercase: labels.set(targetLabel, text(source).uppercased())
        case .hashmod:
            // The last eight bytes of the digest, most significant first.
            let digest = md5(source)
            let number = digest[8...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            labels.set(targetLabel, String(number % modulus))
        case .labelmap:
            for (name, value) in labels.labels().pairs {
                if let mapped = expand(replacement, Array(name.utf8)) { labels.set(mapped, value) }
            }
        case .labeldrop, .labelkeep:
            for (name, _) in labels.labels().pairs
            where matches(Array(name.utf8)) == (action == .labeldrop) {
                labels.remove(name)
            }
        }
        return true
    }

    private func replace(_ source: [UInt8], _ labels: inout LabelsBuilder) {
        guard let target = expand(targetLabel, source) else { return }
        // An invalid name leaves the labels as they are, as upstream does.
        guard isUsableLabelName(target) else { return }
        guard let value = expand(replacement, source) else { return }
        labels.set(target, value)
    }

    private func isUsableLabelName(_ name: String) -> Bool {
        definition.names.isValidLabelName(name)
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func matches(_ text: [UInt8]) -> Bool {
        text.withUnsafeBytes { expression.matchesWhole($0) }
    }

    /// The template with `$1`, `${1}`, `${name}` and `$$` filled from the match of `source`, or nil
    /// where the expression does not match. Source: Go's `regexp.Expand`.
    private func expand(_ template: String, _ source: [UInt8]) -> String? {
        guard let spans = source.withUnsafeBytes({ expression.captures($0, anchored: true) }) else {
            return nil
        }
        guard template.utf8.contains(UInt8(ascii: "$")) else { return template }
        let names = expression.groupNames()
        var out: [UInt8] = []
        var rest = Array(template.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "$") else {
                out.append(byte)
                continue
            }
            if rest.first == UInt8(ascii: "$") {
                out.append(byte)
                rest = rest.dropFirst()
                continue
            }
            guard let (name, after) = reference(rest) else {
                out.append(byte)
                continue
            }
            rest = after
            let group = Int(name) ?? names.firstIndex(of: name).map { $0 + 1 }
            guard let group, group >= 0, 2 * group + 1 < spans.count, spans[2 * group] >= 0 else {
                continue
            }
            out.append(contentsOf: source[spans[2 * group]..<spans[2 * group + 1]])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The name after a `$`, and what follows it.
    private func reference(_ rest: ArraySlice<UInt8>) -> (String, ArraySlice<UInt8>)? {
        var rest = rest
        let braced = rest.first == UInt8(ascii: "{")
        if braced { rest = rest.dropFirst() }
        let name = rest.prefix { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        rest = rest.dropFirst(name.count)
        if name.isEmpty { return nil }
        if braced {
            guard rest.first == UInt8(ascii: "}") else { return nil }
            rest = rest.dropFirst()
        }
        return (String(decoding: name, as: UTF8.self), rest)
    }
}
