// SPDX-License-Identifier: Apache-2.0
// Which fields lines have that are no labels of their streams.

import Base
import Telemetry

/// A field that lines have.
package struct DetectedField: Sendable, Equatable {
    /// As a label would be called after parsing.
    package var label: String
    package var type: FieldType
    /// Distinct values among the lines that were looked at; exact up to `maxValues`.
    package var cardinality: Int
    /// Parsers that find it; empty for structured metadata.
    package var parsers: [String]
    /// Keys that lead to it in JSON; empty for others.
    package var jsonPath: [String]
}

/// Lines to look at for fields.
package struct FieldRequest: Sendable {
    package var selector: LogSelector
    package var tenant: Tenant
    /// Inclusive.
    package var startNanos: Int64
    /// Exclusive.
    package var endNanos: Int64
    /// Lines that are looked at, newest first.
    package var lineLimit: Int
    /// Fields of the answer.
    package var fieldLimit: Int

    package init(
        _ selector: LogSelector, tenant: Tenant, startNanos: Int64, endNanos: Int64,
        lineLimit: Int, fieldLimit: Int
    ) {
        self.selector = selector
        self.tenant = tenant
        self.startNanos = startNanos
        self.endNanos = endNanos
        self.lineLimit = lineLimit
        self.fieldLimit = fieldLimit
    }
}

extension LogQLEngine {
    /// Fields of the newest lines of a selector: their structured metadata, what the query's own
    /// parsers find, and what JSON or logfmt in the line holds. Ascending by name.
    ///
    /// - Throws: `QueryInterruption`, what the reader throws.
    package func detectedFields(
        _ request: FieldRequest, _ context: ReadContext
    ) throws -> [DetectedField] {
        try collectFields(request, context).fields(limit: request.fieldLimit)
    }

    /// Distinct values of one field, ascending; at most `fieldLimit`.
    package func detectedValues(
        of label: String, _ request: FieldRequest, _ context: ReadContext
    ) throws -> [String] {
        let values = try collectFields(request, context).values(of: label)
        return Array(values.sorted().prefix(request.fieldLimit))
    }

    private func collectFields(
        _ request: FieldRequest, _ context: ReadContext
    ) throws -> FieldCollector {
        var collector = FieldCollector(parsers: FieldCollector.parsers(of: request.selector))
        guard request.endNanos > request.startNanos else { return collector }
        let pipeline = try Pipeline(request.selector.stages, nowNanos: clock.wallNanos)
        let wanted = LogRequest(
            tenant: request.tenant, matchers: request.selector.matchers,
            range: NanosRange(
                first: Nanos(request.startNanos), last: Nanos(request.endNanos - 1)),
            order: .newestFirst, filters: pipeline.pushedFilters, limit: request.lineLimit)
        var statistics = LogQLStatistics()
        var lines = 0
        try pipeline.run(wanted, on: reader, context, &statistics) { state, _, _, _ in
            try context.reserve(collector.add(state))
            lines += 1
            return lines < request.lineLimit
        }
        return collector
    }
}

/// What is known of fields after some lines.
private struct FieldCollector {
    /// Values of a field that are told apart.
    static let maxValues = 10_000
    /// Fields that are kept.
    static let maxFields = 10_000

    private struct Field {
        var type: FieldType
        var values: Set<String> = []
        var parsers: Set<String> = []
        var path: [String] = []
    }
    private var byLabel: [String: Field] = [:]
    /// Of the query itself.
    private let parsers: Set<String>
    private let scratch = ScratchArena()
    private var grownBytes = 0

    init(parsers: Set<String>) { self.parsers = parsers }

    static func parsers(of selector: LogSelector) -> Set<String> {
        var found: Set<String> = []
        for stage in selector.stages {
            switch stage {
            case .json: found.insert("json")
            case .logfmt: found.insert("logfmt")
            case .regexp: found.insert("regexp")
            case .pattern: found.insert("pattern")
            case .unpack: found.insert("unpack")
            default: break
            }
        }
        return found
    }

    func fields(limit: Int) -> [DetectedField] {
        byLabel.sorted { $0.key < $1.key }.prefix(limit).map { label, field in
            DetectedField(
                label: label, type: field.type, cardinality: field.values.count,
                parsers: field.parsers.sorted(), jsonPath: field.path)
        }
    }

    func values(of label: String) -> Set<String> { byLabel[label]?.values ?? [] }

    /// Takes the fields of a line; returns the bytes by which memory grew, about.
    mutating func add(_ state: LineState) -> Int {
        grownBytes = 0
        collect(state)
        return grownBytes
    }

    private mutating func collect(_ state: LineState) {
        var taken: Set<String> = []
        for entry in state.entries {
            let name = entry.name.text
            taken.insert(name)
            switch entry.category {
            case .stream: continue
            case .metadata: note(name, entry.value.text, parsers: [], path: [])
            case .parsed: note(name, entry.value.text, parsers: parsers, path: [])
            }
        }
        let line = state.line
        scratch.reset()
        if line.first(where: { $0 > 32 }) == UInt8(ascii: "{") {
            var cursor = JSONCursor(line)
            var path: [String] = []
            var found: [(label: String, value: String, path: [String])] = []
            do throws(JSONFault) {
                try object(&cursor, prefix: "", &path, &found)
            } catch {
                // What stands before the fault is no JSON line's; other parsers are not tried,
                // since the line begins as JSON.
                return
            }
            for field in found {
                note(
                    FieldCollector.label(field.label, taken), field.value, parsers: ["json"],
                    path: field.path)
            }
        } else if findEither(UInt8(ascii: "="), UInt8(ascii: "="), in: line) < line.count {
            var cursor = LogfmtCursor(line)
            while let pair = cursor.next(scratch) {
                guard case .pair(let key, let value) = pair, !value.isEmpty else { continue }
                let name = sanitizedName(key, isFirst: true, scratch).text
                if name.isEmpty { continue }
                note(
                    FieldCollector.label(name, taken), value.text, parsers: ["logfmt"], path: [])
            }
        }
    }

    /// A parsed field whose name a label has is called as the parser would call it.
    private static func label(_ name: String, _ taken: Set<String>) -> String {
        taken.contains(name) ? name + "_extracted" : name
    }

    private mutating func note(
        _ label: String, _ value: String, parsers: Set<String>, path: [String]
    ) {
        let type = FieldType(of: value)
        if byLabel[label] == nil {
            guard byLabel.count < FieldCollector.maxFields else { return }
            byLabel[label] = Field(type: type, path: path)
            grownBytes += 256 + label.utf8.count
        }
        byLabel[label]?.parsers.formUnion(parsers)
        if let known = byLabel[label]?.type { byLabel[label]?.type = known.joined(type) }
        if (byLabel[label]?.values.count ?? 0) < FieldCollector.maxValues {
            let isNew = byLabel[label]?.values.insert(value).inserted ?? false
            if isNew { grownBytes += 64 + value.utf8.count }
        }
    }

    /// Members of an object and of those in it; arrays and nulls are left out, as `| json` does.
    private func object(
        _ cursor: inout JSONCursor, prefix: String, _ path: inout [String],
        _ found: inout [(label: String, value: String, path: [String])]
    ) throws(JSONFault) {
        guard path.count < JSONCursor.maxDepth else {
            throw JSONFault(message: "nested deeper than \(JSONCursor.maxDepth) levels")
        }
        try cursor.forEachMember { (key, hasEscapes, cursor) throws(JSONFault) in
            let raw = JSONCursor.unescaped(key, hasEscapes: hasEscapes, scratch)
            let name = sanitizedName(raw, isFirst: prefix.isEmpty, scratch).text
            let label = prefix.isEmpty ? name : prefix + "_" + name
            path.append(raw.text)
            defer { path.removeLast() }
            if cursor.peek() == UInt8(ascii: "{") {
                try object(&cursor, prefix: label, &path, &found)
                return
            }
            let value = try cursor.value()
            switch value.kind {
            case .string:
                found.append(
                    (
                        label,
                        JSONCursor.unescaped(value.raw, hasEscapes: value.hasEscapes, scratch)
                            .text, path
                    ))
            case .number, .bool: found.append((label, value.raw.text, path))
            case .object, .array, .null: break
            }
        }
    }
}
