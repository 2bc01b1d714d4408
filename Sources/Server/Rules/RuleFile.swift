// SPDX-License-Identifier: Apache-2.0
// Rule files.

import Base
import Ingest
import PromQL
import Rules
import Telemetry
import Yams

/// What a rule file is read with.
package struct RuleFileOptions: Sendable {
    /// Interval of groups that name none, in milliseconds.
    package var intervalMillis: Int64 = 60_000
    /// Offset of groups that name none, in milliseconds.
    package var queryOffsetMillis: Int64 = 0
    package var names = NameScheme.utf8
    package var parser = ParserOptions()
    /// Of groups that name none.
    package var tenant = Tenant.anonymous
    /// Of groups that name none.
    package var language = RuleLanguage.promql
    /// Keys nobody knows are passed over.
    package var ignoresUnknownFields = false

    package init() {}
}

/// A rule file that cannot be used.
package struct RuleFileError: Error, Sendable, CustomStringConvertible {
    package var file: String
    /// Each with its place.
    package var faults: [String]
    package var description: String { faults.map { "\(file): \($0)" }.joined(separator: "\n") }
}

/// The groups of one file. Source: prometheus/prometheus `model/rulefmt`.
package struct RuleFile: Sendable {
    package var path: String
    package var groups: [RuleGroupDefinition] = []
    /// What is odd, but no fault.
    package var notes: [String] = []

    /// Reads and checks a file.
    ///
    /// - Throws: `RuleFileError` with all that is wrong.
    package static func load(
        _ path: String, _ options: RuleFileOptions = RuleFileOptions()
    ) throws(RuleFileError) -> RuleFile {
        let text: String
        do throws(ConfigurationError) { text = try fileText(path) } catch {
            throw RuleFileError(file: path, faults: [error.description])
        }
        return try parse(text, path: path, options)
    }

    /// See `load`.
    package static func parse(
        _ text: String, path: String, _ options: RuleFileOptions = RuleFileOptions()
    ) throws(RuleFileError) -> RuleFile {
        var file = RuleFile(path: path)
        guard isShallow(text) else {
            throw RuleFileError(file: path, faults: ["nested too deeply"])
        }
        var documents: [Node] = []
        do {
            var sequence = try Yams.compose_all(yaml: text)
            while let document = sequence.next() { documents.append(document) }
            // Iterating ends at a fault and keeps it to itself.
            if let error = sequence.error { throw error }
        } catch { throw RuleFileError(file: path, faults: ["not valid YAML: \(error)"]) }
        if documents.count > 1 {
            file.notes.append(
                "file contains more than one YAML document; only the first is used")
        }
        guard let root = documents.first, root.null == nil else { return file }
        var faults: [String] = []
        do throws(ConfigurationError) {
            var top = try YAMLSection(root, "the rule file")
            guard let list = top.take("groups") else {
                if !options.ignoresUnknownFields { try top.finish() }
                return file
            }
            guard let nodes = list.sequence else {
                throw top.failure("groups must be a list", list)
            }
            var names: Set<String> = []
            for node in nodes {
                try file.add(node, options, &names, &faults)
            }
            if !options.ignoresUnknownFields { try top.finish() }
        } catch { throw RuleFileError(file: path, faults: faults + [error.description]) }
        if !faults.isEmpty { throw RuleFileError(file: path, faults: faults) }
        return file
    }

    /// Reads and checks one group that stands alone.
    ///
    /// - Throws: `RuleFileError` with all that is wrong.
    package static func group(
        _ text: String, path: String, _ options: RuleFileOptions
    ) throws(RuleFileError) -> RuleGroupDefinition {
        var file = RuleFile(path: path)
        var faults: [String] = []
        let node: Node?
        guard isShallow(text) else {
            throw RuleFileError(file: path, faults: ["nested too deeply"])
        }
        do { node = try Yams.compose(yaml: text) } catch {
            throw RuleFileError(file: path, faults: ["not valid YAML: \(error)"])
        }
        guard let node else { throw RuleFileError(file: path, faults: ["no rule group"]) }
        var names: Set<String> = []
        do throws(ConfigurationError) {
            try file.add(node, options, &names, &faults)
        } catch { faults.append(error.description) }
        guard faults.isEmpty, let group = file.groups.first else {
            throw RuleFileError(file: path, faults: faults)
        }
        return group
    }

    /// Whether the YAML nests no deeper than rules ever do: the parser follows nesting by recursion.
    static func isShallow(_ text: String) -> Bool {
        var brackets = 0
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            // In front of a line every `- ` and `? ` opens a level.
            let marks = line.prefix { " -?".utf8.contains($0) }.count
            for byte in line {
                switch byte {
                case UInt8(ascii: "["), UInt8(ascii: "{"): brackets += 1
                case UInt8(ascii: "]"), UInt8(ascii: "}"): brackets = max(0, brackets - 1)
                default: break
                }
            }
            if brackets > 500 || marks > 500 { return false }
        }
        return true
    }

    private mutating func add(
        _ node: Node, _ options: RuleFileOptions, _ names: inout Set<String>,
        _ faults: inout [String]
    ) throws(ConfigurationError) {
        var section = try YAMLSection(node, "group")
        var group = RuleGroupDefinition(name: try section.string("name") ?? "", file: path)
        let place = node.mark.map { "\($0.line):\($0.column): " } ?? ""
        if group.name.isEmpty { faults.append(place + "Groupname must not be empty") }
        if !names.insert(group.name).inserted {
            faults.append(place + "groupname: \"\(group.name)\" is repeated in the same file")
        }
        group.intervalMillis = options.intervalMillis
        if let interval = try section.millis("interval"), interval > 0 {
            group.intervalMillis = interval
        }
        group.queryOffsetMillis =
            try section.millis("query_offset") ?? options.queryOffsetMillis
        group.limit = try section.int("limit") ?? 0
        group.labels = try section.texts("labels")
        faults += group.labelFaults(options.names)
        group.tenant = try section.tenant() ?? options.tenant
        group.language = options.language
        if let language = try section.string("language") {
            guard let known = RuleLanguage(rawValue: language) else {
                throw section.failure(
                    "language of group \"\(group.name)\" must be promql, logql or traceql, not "
                        + language)
            }
            group.language = known
        }
        let rules = section.take("rules")
        if let rules, rules.sequence == nil {
            throw section.failure("rules must be a list", rules)
        }
        for (index, node) in (rules?.sequence.map(Array.init) ?? []).enumerated() {
            let (rule, found) = try Self.rule(node, group, index, options)
            group.rules.append(rule)
            faults += found
        }
        if !options.ignoresUnknownFields { try section.finish() }
        groups.append(group)
    }

    private static func rule(
        _ node: Node, _ group: RuleGroupDefinition, _ index: Int, _ options: RuleFileOptions
    ) throws(ConfigurationError) -> (RuleDefinition, [String]) {
        let node = node.withMergedKeys
        var section = try YAMLSection(node, "rule")
        var rule = RuleDefinition()
        rule.record = try section.string("record") ?? ""
        rule.alert = try section.string("alert") ?? ""
        let expressionMark = node.mapping?["expr"]?.mark
        rule.expression = try section.string("expr") ?? ""
        rule.holdMillis = try section.millis("for") ?? 0
        rule.keepFiringMillis = try section.millis("keep_firing_for") ?? 0
        rule.labels = try section.texts("labels")
        rule.annotations = try section.texts("annotations")
        if !options.ignoresUnknownFields { try section.finish() }
        let head = "group \(quotedText(group.name)), rule \(index + 1), \(quotedText(rule.name)): "
        let found = rule.faults(group.language, options.names, parser: options.parser)
        return (
            rule,
            found.map { fault in
                // What is wrong with an expression stands where the expression does.
                let isAboutExpression = fault.hasPrefix("could not parse expression")
                let mark = isAboutExpression ? expressionMark ?? node.mark : node.mark
                return (mark.map { "\($0.line):\($0.column): " } ?? "") + head + fault
            }
        )
    }
}

extension YAMLSection {
    /// A Prometheus duration, in milliseconds.
    mutating func millis(_ key: String) throws(ConfigurationError) -> Int64? {
        guard let value = take(key) else { return nil }
        let text = value.scalar?.string ?? ""
        do throws(DurationTextError) {
            return try parseDurationMillis(text)
        } catch { throw failure("\(error) for \(key)", value) }
    }

    /// A mapping of names to texts, ascending by name.
    mutating func texts(_ key: String) throws(ConfigurationError) -> [RuleText] {
        (try pairs(key) ?? []).map { RuleText($0.name, $0.value) }.sorted { $0.name < $1.name }
    }
}
