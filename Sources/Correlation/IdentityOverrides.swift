// SPDX-License-Identifier: Apache-2.0
// Which service a name or label set means because the configuration says so.

import Base
import Telemetry

/// What the configuration says of one service.
package struct IdentityOverride: Sendable, Equatable {
    /// Its name in every answer.
    package var name: String
    package var namespace: String?
    /// Names found otherwise that mean this service.
    package var aliases: [String]
    /// What is of this service whatever its labels name; each is a conjunction.
    package var selectors: [[LabelMatcher]]

    package init(
        name: String, namespace: String? = nil, aliases: [String] = [],
        selectors: [[LabelMatcher]] = []
    ) {
        self.name = name
        self.namespace = namespace
        self.aliases = aliases
        self.selectors = selectors
    }
}

/// Names and selectors that win over the priority list of `ServiceIdentity`.
///
/// Names act when something is read, on all data; selectors when something is seen for the first
/// time, and on labels that are asked about. Names are compared as `folded` leaves them. A name with
/// a slash also stands for what comes after the last one, as in `job`.
package final class IdentityOverrides: Sendable {
    package static let maxEntries = 1000
    /// Of one entry.
    package static let maxAliases = 100
    /// Of all entries: each costs a comparison with every series, stream and resource seen first.
    package static let maxSelectors = 1000
    package static let maxMatchers = 16
    /// Of a name, and of a selector as text.
    package static let maxTextBytes = 1024
    /// How `ServiceAlias.rule` begins of what was found by an override.
    static let rule = "override"

    /// What is wrong with an entry, counted from 0.
    package struct Fault: Error, Equatable {
        package var entry: Int
        package var problem: String
    }

    /// A selector and the service that it gives.
    package struct Match: Sendable {
        package let name: String
        package let namespace: String?
        package let matchers: [LabelMatcher]
        /// As `ServiceAlias.rule` has it.
        let rule: String
    }

    package let entries: [IdentityOverride]
    private let entryNumbers: [String: Int]
    private let matches: [Match]

    /// - Throws: `Fault` for an empty, long or repeated name, an alias of two entries, a selector
    ///   without matchers, and what exceeds the bounds.
    package init(_ entries: [IdentityOverride]) throws(Fault) {
        self.entries = entries
        guard entries.count <= Self.maxEntries else {
            throw Fault(entry: Self.maxEntries, problem: "more than \(Self.maxEntries) identities")
        }
        var numbers: [String: Int] = [:]
        // Names first, so that an alias that is one is told as such wherever it stands.
        for (number, entry) in entries.enumerated() {
            try Self.check(entry.name, "name", number)
            if let namespace = entry.namespace { try Self.check(namespace, "namespace", number) }
            if let other = numbers.updateValue(number, forKey: folded(entry.name)) {
                throw Fault(
                    entry: number,
                    problem: "name \(quoted(entry.name)) means the same as that of an earlier "
                        + "identity, \(quoted(entries[other].name))")
            }
        }
        var matches: [Match] = []
        for (number, entry) in entries.enumerated() {
            guard entry.aliases.count <= Self.maxAliases else {
                throw Fault(entry: number, problem: "more than \(Self.maxAliases) aliases")
            }
            for alias in entry.aliases {
                try Self.check(alias, "alias", number)
                for key in Self.keys(ofAlias: alias) {
                    guard let other = numbers.updateValue(number, forKey: key), other != number
                    else { continue }
                    let isName = folded(entries[other].name) == key
                    throw Fault(
                        entry: number,
                        problem: "alias \(quoted(alias)) means the same as "
                            + (isName ? "the name" : "an alias")
                            + " of identity \(quoted(entries[other].name))")
                }
            }
            for matchers in entry.selectors {
                matches.append(try Self.match(matchers, entry, number))
            }
            guard matches.count <= Self.maxSelectors else {
                throw Fault(
                    entry: number, problem: "more than \(Self.maxSelectors) selectors in all")
            }
        }
        entryNumbers = numbers
        self.matches = matches
    }

    private static func check(_ text: String, _ what: String, _ number: Int) throws(Fault) {
        if folded(text).isEmpty { throw Fault(entry: number, problem: "empty \(what)") }
        guard text.utf8.count <= maxTextBytes else {
            throw Fault(entry: number, problem: "\(what) of more than \(maxTextBytes) bytes")
        }
    }

    private static func match(
        _ matchers: [LabelMatcher], _ entry: IdentityOverride, _ number: Int
    ) throws(Fault) -> Match {
        let text = "{" + matchers.map(\.description).joined(separator: ", ") + "}"
        guard (1...maxMatchers).contains(matchers.count), text.utf8.count <= maxTextBytes else {
            throw Fault(
                entry: number,
                problem: "a selector must have 1 to \(maxMatchers) matchers and at most "
                    + "\(maxTextBytes) bytes")
        }
        if matchers.allSatisfy(\.matchesEmpty) {
            throw Fault(entry: number, problem: "selector \(text) selects everything")
        }
        return Match(
            name: entry.name, namespace: entry.namespace, matchers: matchers,
            rule: "\(rule) \(text)")
    }

    /// An alias as it may be found: whole, and as `job` gives it.
    private static func keys(ofAlias alias: String) -> [String] {
        let whole = folded(alias)
        guard let slash = alias.lastIndex(of: "/") else { return [whole] }
        let last = folded(String(alias[alias.index(after: slash)...]))
        return last.isEmpty || last == whole ? [whole] : [whole, last]
    }

    /// Whether there are selectors, which act when something is recorded.
    var hasSelectors: Bool { !matches.isEmpty }

    /// The entry that a found name means. One look-up and O(bytes).
    func entry(of name: String) -> IdentityOverride? {
        entryNumbers[folded(name)].map { entries[$0] }
    }

    /// The first selector that labels satisfy. O(selectors).
    func match(_ labels: Labels) -> Match? {
        matches.first { $0.matchers.match(labels) }
    }

    /// The service that a selector gives to labels.
    func identity(_ labels: Labels) -> ServiceIdentity? {
        match(labels).map { ServiceIdentity($0, labels) }
    }

    /// The selector that the resource of spans satisfies.
    func match(_ resource: SpanBatch.Resource, _ arena: [UInt8]) -> Match? {
        hasSelectors ? match(Labels(ofResource: resource, arena)) : nil
    }
}

extension ServiceIdentity {
    fileprivate init(_ match: IdentityOverrides.Match, _ labels: Labels) {
        name = match.name
        namespace = match.namespace ?? labels["service_namespace"] ?? labels["namespace"]
        alias = ServiceIdentity(labels)?.alias ?? match.name
        rule = match.rule
    }
}

extension ServiceAlias {
    /// The rule as the API names it: that of an override without what it was found by.
    package var ruleName: String { foundBy == nil ? rule : IdentityOverrides.rule }

    /// Of an override the selector, or the rule that gave the name the configuration has another one
    /// for; nil of others.
    package var foundBy: String? {
        let prefix = IdentityOverrides.rule + " "
        return rule.hasPrefix(prefix) ? String(rule.dropFirst(prefix.count)) : nil
    }

    /// The same, of a service that an alias in the configuration gave another name.
    var overridden: ServiceAlias {
        foundBy == nil
            ? ServiceAlias(alias: alias, source: source, rule: "\(IdentityOverrides.rule) \(rule)")
            : self
    }

    /// That the configuration calls a name an alias.
    init(configured name: String) {
        self.init(
            alias: name, source: "configuration", rule: "\(IdentityOverrides.rule) aliases")
    }
}

extension Labels {
    /// Attributes of a resource that are text, numbers or truth values, under the names that OTLP
    /// metrics give them unless told otherwise, with `job` and `instance`. Attributes beyond one that
    /// cannot be decoded are left out.
    init(ofResource resource: SpanBatch.Resource, _ arena: [UInt8]) {
        var values: [String: String] = [:]
        func add(_ name: String, _ value: String) {
            if !value.isEmpty, values[name] == nil { values[name] = value }
        }
        let name = arena.text(resource.serviceName)
        let namespace = arena.text(resource.serviceNamespace)
        let instance = arena.text(resource.serviceInstance)
        add("service_name", name)
        add("service_namespace", namespace)
        add("service_instance_id", instance)
        arena.withSlice(resource.attributes) { list in
            // Batches are checked when decoded; what could be read before a fault still counts.
            try? AttributeCoding.forEach(in: list) { key, bytes in
                var reader = ByteReader(bytes)
                let text: String? =
                    switch try AttributeCoding.decodeValue(&reader) {
                    case .string(let text): text
                    case .int(let number): String(number)
                    case .double(let number): floatText(number)
                    case .bool(let flag): flag ? "true" : "false"
                    case .empty, .bytes, .array, .map: nil
                    }
                if let text { add(labelName(ofAttribute: key), text) }
            }
        }
        if !name.isEmpty { add("job", namespace.isEmpty ? name : "\(namespace)/\(name)") }
        add("instance", instance)
        self.init(values.map { (name: $0.key, value: $0.value) })
    }
}

/// An attribute's key as a label: characters that it cannot have are underscores, `key_` goes before
/// a digit and `key` before a single underscore.
///
/// Source: prometheus/otlptranslator `label_namer.go`.
private func labelName(ofAttribute key: UnsafeRawBufferPointer) -> String {
    var name: [UInt8] = []
    for scalar in String(decoding: key, as: UTF8.self).unicodeScalars {
        let isLetter = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
        let isKept = isLetter || ("0"..."9").contains(scalar)
        name.append(isKept ? UInt8(truncatingIfNeeded: scalar.value) : UInt8(ascii: "_"))
    }
    if let first = name.first, first &- UInt8(ascii: "0") < 10 {
        name.insert(contentsOf: "key_".utf8, at: 0)
    } else if name.first == UInt8(ascii: "_"), name.dropFirst().first != UInt8(ascii: "_") {
        name.insert(contentsOf: "key".utf8, at: 0)
    }
    return String(decoding: name, as: UTF8.self)
}

/// A name without case and without the marks that tools put between its words: for matching, never
/// for show.
func folded(_ name: String) -> String {
    String(
        decoding: name.lowercased().utf8.filter {
            $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") && $0 != UInt8(ascii: ".")
        }, as: UTF8.self)
}
