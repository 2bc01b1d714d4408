// SPDX-License-Identifier: Apache-2.0
// Queries printed in their canonical form.

import Base
import PromQL
import Telemetry

extension LogQLExpression: CustomStringConvertible {
    /// The query on one line, with single blanks and the grouping in front of the operand. Parsing it
    /// again gives the same query.
    package var description: String {
        switch self {
        case .log(let selector): selector.description
        case .metric(let expression): expression.description
        case .analysis(let analysis): analysis.description
        }
    }
}

extension LogSelector: CustomStringConvertible {
    package var description: String {
        let names = matchers.map { $0.name + $0.operation.symbol + quotedText($0.value) }
        return (["{" + names.joined(separator: ", ") + "}"] + stages.map(\.description))
            .joined(separator: " ")
    }
}

extension StageSyntax: CustomStringConvertible {
    package var description: String {
        func list(_ fields: [FieldExpression]) -> String {
            fields.map { field in
                " "
                    + (field.label == field.path
                        ? field.label : field.label + "=" + quotedText(field.path))
            }.joined(separator: ",")
        }
        func list(_ selections: [LabelSelection]) -> String {
            selections.map { selection in
                selection.name
                    + (selection.matcher.map { $0.operation.symbol + quotedText($0.value) } ?? "")
            }.joined(separator: ", ")
        }
        switch self {
        case .lineFilter(let filter):
            let texts = filter.alternatives.map {
                $0.isIP ? "ip(" + quotedText($0.text) + ")" : quotedText($0.text)
            }
            return filter.operation.rawValue + " " + texts.joined(separator: " or ")
        case .json(let fields): return "| json" + list(fields)
        case .logfmt(let strict, let keepEmpty, let fields):
            return "| logfmt" + (strict ? " --strict" : "") + (keepEmpty ? " --keep-empty" : "")
                + list(fields)
        case .regexp(let pattern): return "| regexp " + quotedText(pattern)
        case .pattern(let pattern): return "| pattern " + quotedText(pattern)
        case .unpack: return "| unpack"
        case .labelFilter(let filter): return "| " + filter.description
        case .lineFormat(let template): return "| line_format " + quotedText(template)
        case .labelFormat(let formats):
            return "| label_format "
                + formats.map { format in
                    switch format.source {
                    case .rename(let name): format.target + "=" + name
                    case .template(let text): format.target + "=" + quotedText(text)
                    }
                }.joined(separator: ", ")
        case .decolorize: return "| decolorize"
        case .drop(let selections): return "| drop " + list(selections)
        case .keep(let selections): return "| keep " + list(selections)
        }
    }
}

extension LabelFilterSyntax: CustomStringConvertible {
    package var description: String {
        switch self {
        case .matcher(let matcher):
            return matcher.name + matcher.operation.symbol + quotedText(matcher.value)
        case .number(let name, let operation, let value):
            return name + operation.rawValue + floatPlainText(value)
        case .duration(let name, let operation, let nanos):
            return name + operation.rawValue + goDurationText(nanos: nanos)
        case .bytes(let name, let operation, let count):
            return name + operation.rawValue + "\(count)B"
        case .ip(let name, let isNegated, let text):
            return name + (isNegated ? "!=" : "=") + "ip(" + quotedText(text) + ")"
        case .all(let parts): return parts.map(\.nested).joined(separator: ", ")
        case .any(let parts): return parts.map(\.nested).joined(separator: " or ")
        }
    }

    private var nested: String {
        switch self {
        case .all, .any: "(" + description + ")"
        default: description
        }
    }
}

extension LabelGrouping: CustomStringConvertible {
    package var description: String {
        (isWithout ? "without" : "by") + " (" + labels.joined(separator: ", ") + ")"
    }
}

extension RangeAggregation: CustomStringConvertible {
    package var description: String {
        var text = operation.rawValue + "("
        if let parameter { text += floatPlainText(parameter) + ", " }
        text += selector.description
        if let unwrap {
            text += " | unwrap "
            text += unwrap.conversion.map { $0.rawValue + "(" + unwrap.label + ")" } ?? unwrap.label
            for filter in unwrap.filters { text += " | " + filter.description }
        }
        text += " [" + durationText(millis: rangeNanos / 1_000_000) + "]"
        if offsetNanos != 0 { text += " offset " + goDurationText(nanos: offsetNanos) }
        text += ")"
        if let grouping { text += " " + grouping.description }
        return text
    }
}

extension MetricExpression: CustomStringConvertible {
    package var description: String {
        switch self {
        case .range(let aggregation): return aggregation.description
        case .literal(let value):
            // What has no literal of its own is written as an operation that gives it.
            if value.isNaN { return "(0 / 0)" }
            if value.isInfinite { return value > 0 ? "(2 ^ 1024)" : "(-2 ^ 1025)" }
            return floatPlainText(value)
        case .vector(let value): return "vector(" + floatPlainText(value) + ")"
        case .aggregation(let operation, let parameter, let grouping, let inner):
            let prefix = operation.needsParameter ? "\(parameter), " : ""
            return operation.rawValue + (grouping.map { " \($0) " } ?? "") + "(" + prefix
                + inner.description + ")"
        case .labelReplace(let inner, let replacement):
            let arguments = [
                replacement.destination, replacement.replacement, replacement.source,
                replacement.pattern,
            ]
            return "label_replace(" + inner.description + ", "
                + arguments.map(quotedText).joined(separator: ", ") + ")"
        case .binary(let operation, let modifiers, let left, let right):
            return left.operandText + " " + operation.rawValue + modifiers.description + " "
                + right.operandText
        }
    }

    private var operandText: String {
        if case .binary = self { "(" + description + ")" } else { description }
    }
}

extension BinaryModifiers: CustomStringConvertible {
    /// With a blank in front, or empty.
    package var description: String {
        func list(_ labels: [String]) -> String { "(" + labels.joined(separator: ", ") + ")" }
        var text = returnsBool ? " bool" : ""
        if matching.isOn || !matching.labels.isEmpty || !matching.include.isEmpty {
            text += (matching.isOn ? " on " : " ignoring ") + list(matching.labels)
        }
        switch matching.cardinality {
        case .manyToOne: text += " group_left " + list(matching.include)
        case .oneToMany: text += " group_right " + list(matching.include)
        case .oneToOne, .manyToMany: break
        }
        return text
    }
}
