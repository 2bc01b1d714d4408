// SPDX-License-Identifier: Apache-2.0
// Which labels parsers have to make.

import Telemetry

/// Finds the labels that anything behind a parser may look at. A query that only wants `level` spares
/// itself the other fifty fields of a JSON line.
enum NeededLabels {
    /// - Parameter consumer: labels that the end of the pipeline looks at; nil = all.
    /// - Returns: labels that parsers of the pipeline must make; nil = all they find.
    static func names(_ stages: [StageSyntax], consumer: Set<String>?) -> Set<String>? {
        var needed = consumer
        var result: Set<String> = []
        for stage in stages.reversed() {
            switch stage {
            case .lineFilter, .decolorize: continue
            case .json, .logfmt, .regexp, .pattern, .unpack:
                guard let needed else { return nil }
                result.formUnion(needed)
            case .labelFilter(let filter): needed?.formUnion(filter.names)
            case .lineFormat(let template): add(template, to: &needed)
            case .labelFormat(let formats):
                for format in formats.reversed() {
                    switch format.source {
                    case .rename(let name): needed?.insert(name)
                    case .template(let text): add(text, to: &needed)
                    }
                }
            case .drop(let selections): needed?.formUnion(selections.map(\.name))
            case .keep(let selections):
                needed = (needed ?? []).union(selections.map(\.name))
            }
        }
        return result
    }

    private static func add(_ template: String, to needed: inout Set<String>?) {
        guard let parsed = try? Template(template, name: ""), let labels = parsed.labels else {
            needed = nil
            return
        }
        needed?.formUnion(labels)
    }
}

extension LabelFilterSyntax {
    /// Labels that the condition reads.
    var names: Set<String> {
        switch self {
        case .matcher(let matcher): [matcher.name]
        case .number(let name, _, _), .duration(let name, _, _), .bytes(let name, _, _),
            .ip(let name, _, _):
            [name]
        case .all(let parts), .any(let parts): parts.reduce(into: []) { $0.formUnion($1.names) }
        }
    }
}

extension Template {
    /// Labels that the template reads; nil when it may read all of them.
    var labels: Set<String>? {
        var names: Set<String> = []
        return Template.collect(nodes, &names) ? names : nil
    }

    private static func collect(_ nodes: [TemplateNode], _ names: inout Set<String>) -> Bool {
        for node in nodes {
            switch node {
            case .text, .breakLoop, .continueLoop: continue
            case .template: return false
            case .action(let pipeline): guard collect(pipeline, &names) else { return false }
            case .condition(let pipeline, let a, let b), .with(let pipeline, let a, let b),
                .range(let pipeline, let a, let b):
                guard collect(pipeline, &names), collect(a, &names), collect(b, &names) else {
                    return false
                }
            }
        }
        return true
    }

    /// A dot that stands alone may be the whole label set.
    private static func collect(
        _ pipeline: TemplatePipeline, _ names: inout Set<String>
    ) -> Bool {
        for operand in pipeline.commands.flatMap(\.operands) {
            switch operand.kind {
            case .dot: return false
            case .field(let fields): if let first = fields.first { names.insert(first) }
            case .variable(let name, let fields):
                guard let first = fields.first else {
                    if name == "$" { return false }
                    continue
                }
                names.insert(first)
            case .pipeline(let inner, _): guard collect(inner, &names) else { return false }
            case .null, .bool, .string, .int, .float, .function: continue
            }
        }
        return true
    }
}
