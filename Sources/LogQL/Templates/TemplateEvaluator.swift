// SPDX-License-Identifier: Apache-2.0
// Runs a template for one line.

import Base

/// What a template sees of its line.
struct TemplateScope {
    /// Value of a label, nil when the line does not have it.
    var label: (String) -> String?
    /// All labels, for `range $k, $v := .`.
    var labels: () -> [(key: String, value: TemplateValue)]
    var line: () -> String
    /// Nanoseconds since the Unix epoch.
    var lineNanos: Int64
    var nowNanos: Int64
}

/// Answers the functions of a library.
package protocol TemplateCalling {
    /// - Throws: `TemplateError` with the reason alone; the place is put around it.
    mutating func call(
        _ name: String, _ arguments: [TemplateValue],
        _ templates: (String, TemplateValue) -> String?
    ) throws(TemplateError) -> TemplateValue
}

extension Template {
    /// The text the template makes of a value.
    ///
    /// - Throws: `TemplateError` with name, line and column.
    package func expand(
        _ root: TemplateValue, _ functions: some TemplateCalling
    ) throws(TemplateError) -> String {
        try TemplateEvaluator.run(self, root, functions)
    }
}

struct TemplateEvaluator {
    private enum Flow { case normal, breakLoop, continueLoop }
    /// The thing `.` stands for: the labels, taken apart only when asked for as a whole, or a value.
    private enum Dot {
        case labels
        case value(TemplateValue)
    }
    private let template: Template
    /// The line; nil for a template of something else.
    private let scope: TemplateScope?
    private var functions: (any TemplateCalling)?
    private var depth = 0
    private var output = ""
    private var variables: [(name: String, value: Dot)] = []
    private var stepsLeft = TemplateLimits.steps

    static func run(_ template: Template, _ scope: TemplateScope) throws(TemplateError) -> String {
        var evaluator = TemplateEvaluator(template, scope)
        evaluator.variables = [("$", .labels)]
        _ = try evaluator.run(template.nodes, .labels)
        return evaluator.output
    }

    static func run(
        _ template: Template, _ root: TemplateValue, _ functions: some TemplateCalling
    ) throws(TemplateError) -> String {
        var evaluator = TemplateEvaluator(template, nil)
        evaluator.functions = functions
        evaluator.variables = [("$", .value(root))]
        _ = try evaluator.run(template.nodes, .value(root))
        return evaluator.output
    }

    private init(_ template: Template, _ scope: TemplateScope?) {
        self.template = template
        self.scope = scope
    }

    private func fail(_ operand: TemplateOperand, _ message: String) -> TemplateError {
        TemplateError(
            description: "template: \(template.name):\(operand.line):\(operand.column): executing "
                + "\(quotedText(template.name)) at <\(operand.source)>: \(message)")
    }

    private func limitError(_ what: String) -> TemplateError {
        TemplateError(description: "template: \(template.name): \(what)")
    }

    private mutating func write(_ text: String) throws(TemplateError) {
        output += text
        if output.utf8.count > TemplateLimits.outputBytes {
            throw limitError("output exceeds \(TemplateLimits.outputBytes) bytes")
        }
    }

    private mutating func run(_ nodes: [TemplateNode], _ dot: Dot) throws(TemplateError) -> Flow {
        for node in nodes {
            stepsLeft -= 1
            if stepsLeft < 0 { throw limitError("more than \(TemplateLimits.steps) steps") }
            switch node {
            case .text(let text): try write(text)
            case .action(let pipeline):
                let value = try evaluate(pipeline, dot)
                if pipeline.variables.isEmpty { try write(resolved(value).text) }
            case .condition(let pipeline, let then, let otherwise):
                let depth = variables.count
                let value = try evaluate(pipeline, dot)
                let flow = try run(isTrue(value) ? then : otherwise, dot)
                variables.removeSubrange(depth...)
                if flow != .normal { return flow }
            case .with(let pipeline, let then, let otherwise):
                let depth = variables.count
                let value = try evaluate(pipeline, dot)
                let flow = isTrue(value) ? try run(then, value) : try run(otherwise, dot)
                variables.removeSubrange(depth...)
                if flow != .normal { return flow }
            case .range(let pipeline, let body, let otherwise):
                let depth = variables.count
                try loop(pipeline, body, otherwise, dot)
                variables.removeSubrange(depth...)
            case .template(let name, let pipeline, let line, let column):
                let argument = try pipeline.map { pipeline throws(TemplateError) in
                    try evaluate(pipeline, dot)
                }
                try include(name, argument ?? .value(.null), line, column)
            case .breakLoop: return .breakLoop
            case .continueLoop: return .continueLoop
            }
        }
        return .normal
    }

    private mutating func include(
        _ name: String, _ dot: Dot, _ line: Int, _ column: Int
    ) throws(TemplateError) {
        guard let nodes = template.definitions[name] else {
            throw TemplateError(
                description: "template: \(template.name):\(line):\(column): executing "
                    + "\(quotedText(template.name)) at <{{template \(quotedText(name))}}>: template "
                    + "\(quotedText(name)) not defined")
        }
        depth += 1
        defer { depth -= 1 }
        guard depth <= TemplateLimits.depth else {
            throw limitError("exceeded maximum template depth (\(TemplateLimits.depth))")
        }
        let outer = variables
        variables = [("$", dot)]
        _ = try run(nodes, dot)
        variables = outer
    }

    private mutating func loop(
        _ pipeline: TemplatePipeline, _ body: [TemplateNode], _ otherwise: [TemplateNode],
        _ dot: Dot
    ) throws(TemplateError) {
        var bare = pipeline
        bare.variables = []
        let value = resolved(try evaluate(bare, dot))
        var items: [(key: TemplateValue, value: TemplateValue)] = []
        switch value {
        case .list(let list):
            for (i, item) in list.enumerated() { items.append((.int(Int64(i)), item)) }
        case .map(let pairs): for pair in pairs { items.append((.string(pair.key), pair.value)) }
        case .texts(let pairs):
            for pair in pairs { items.append((.string(pair.key), .string(pair.value))) }
        case .int(let count):
            if count > Int64(TemplateLimits.steps) {
                throw limitError("more than \(TemplateLimits.steps) steps")
            }
            for i in 0..<max(0, count) { items.append((.int(i), .int(i))) }
        case .null: break
        default:
            throw TemplateError(
                description: "template: \(template.name): range can't iterate over \(value.text)")
        }
        if items.isEmpty {
            _ = try run(otherwise, dot)
            return
        }
        for item in items {
            let depth = variables.count
            switch pipeline.variables.count {
            case 1: variables.append((pipeline.variables[0], .value(item.value)))
            case 2:
                variables.append((pipeline.variables[0], .value(item.key)))
                variables.append((pipeline.variables[1], .value(item.value)))
            default: break
            }
            let flow = try run(body, .value(item.value))
            variables.removeSubrange(depth...)
            if flow == .breakLoop { return }
        }
    }

    // MARK: values

    private func resolved(_ dot: Dot) -> TemplateValue {
        switch dot {
        case .labels: .map(scope?.labels() ?? [])
        case .value(let value): value
        }
    }

    private func isTrue(_ dot: Dot) -> Bool {
        switch dot {
        case .labels: scope?.labels().isEmpty == false
        case .value(let value): value.isTrue
        }
    }

    private mutating func evaluate(
        _ pipeline: TemplatePipeline, _ dot: Dot
    ) throws(TemplateError) -> Dot {
        var result: Dot?
        for command in pipeline.commands { result = try evaluate(command, dot, final: result) }
        let value = result ?? .value(.null)
        for variable in pipeline.variables {
            if pipeline.declares {
                variables.append((variable, value))
            } else if let i = variables.lastIndex(where: { $0.name == variable }) {
                variables[i].value = value
            }
        }
        return value
    }

    /// - Parameter final: the value piped in from the left, the last argument.
    private mutating func evaluate(
        _ command: TemplateCommand, _ dot: Dot, final: Dot?
    ) throws(TemplateError) -> Dot {
        stepsLeft -= 1
        if stepsLeft < 0 { throw limitError("more than \(TemplateLimits.steps) steps") }
        guard let first = command.operands.first else { return .value(.null) }
        if case .function(let function) = first.kind {
            return .value(try call(function, first, command.operands.dropFirst(), dot, final))
        }
        if command.operands.count > 1 || final != nil {
            switch first.kind {
            case .field(let fields):
                throw fail(
                    first, "\(fields.last ?? "") is not a method but has arguments")
            default: throw fail(first, "can't give argument to non-function \(first.source)")
            }
        }
        return try operand(first, dot)
    }

    private mutating func operand(
        _ operand: TemplateOperand, _ dot: Dot
    ) throws(TemplateError) -> Dot {
        switch operand.kind {
        case .dot: return dot
        case .null: throw fail(operand, "nil is not a command")
        case .bool(let flag): return .value(.bool(flag))
        case .string(let text): return .value(.string(text))
        case .int(let number): return .value(.int(number))
        case .float(let number): return .value(.float(number))
        case .field(let fields): return try field(fields[...], of: dot, operand)
        case .variable(let name, let fields):
            let value = variables.last { $0.name == name }?.value ?? .value(.null)
            return try field(fields[...], of: value, operand)
        case .function(let function): return .value(try call(function, operand, [], dot, nil))
        case .pipeline(let pipeline, let fields):
            let depth = variables.count
            let value = try evaluate(pipeline, dot)
            variables.removeSubrange(depth...)
            return try field(fields[...], of: value, operand)
        }
    }

    private func field(
        _ fields: ArraySlice<String>, of dot: Dot, _ operand: TemplateOperand
    ) throws(TemplateError) -> Dot {
        guard let name = fields.first else { return dot }
        switch dot {
        case .labels:
            return try field(
                fields.dropFirst(), of: .value(.string(scope?.label(name) ?? "")), operand)
        case .value(.map(let pairs)):
            let value = pairs.first { $0.key == name }?.value ?? .null
            return try field(fields.dropFirst(), of: .value(value), operand)
        case .value(.texts(let pairs)):
            let value = pairs.first { $0.key == name }?.value ?? ""
            return try field(fields.dropFirst(), of: .value(.string(value)), operand)
        case .value(.record(let type, let pairs)):
            guard let value = pairs.first(where: { $0.key == name })?.value else {
                throw fail(operand, "can't evaluate field \(name) in type \(type)")
            }
            return try field(fields.dropFirst(), of: .value(value), operand)
        case .value(.null): throw fail(operand, "nil pointer evaluating interface {}.\(name)")
        case .value(let value):
            throw fail(operand, "can't evaluate field \(name) in type \(value.typeName)")
        }
    }

    private mutating func call(
        _ callee: TemplateCallee, _ operand: TemplateOperand,
        _ operands: ArraySlice<TemplateOperand>, _ dot: Dot, _ final: Dot?
    ) throws(TemplateError) -> TemplateValue {
        // `and` and `or` stop at the first argument that decides.
        if case .own(let function) = callee, function == .and || function == .or {
            var last = TemplateValue.null
            for argument in operands {
                last = resolved(try self.operand(argument, dot))
                if last.isTrue == (function == .or) { return last }
            }
            if let final { last = resolved(final) }
            return last
        }
        var arguments: [TemplateValue] = []
        for argument in operands {
            if case .null = argument.kind {
                arguments.append(.null)
            } else {
                arguments.append(resolved(try self.operand(argument, dot)))
            }
        }
        if let final { arguments.append(resolved(final)) }
        let (name, count) =
            switch callee {
            case .own(let function): (function.rawValue, function.argumentCount)
            case .library(let name, let count): (name, count)
            }
        guard count.contains(arguments.count) else {
            let wanted =
                count.upperBound == .max
                ? "at least \(count.lowerBound)" : "\(count.lowerBound)"
            throw fail(
                operand,
                "wrong number of args for \(name): want \(wanted) got "
                    + "\(arguments.count)")
        }
        do {
            switch callee {
            case .own(let function): return try function.call(arguments, scope)
            case .library(let name, _): return try callLibrary(name, arguments)
            }
        } catch {
            guard let place = error.argument else {
                throw fail(operand, "error calling \(name): \(error)")
            }
            let index = operands.startIndex + place
            throw fail(operands.indices.contains(index) ? operands[index] : operand, "\(error)")
        }
    }

    private mutating func callLibrary(
        _ name: String, _ arguments: [TemplateValue]
    ) throws(TemplateError) -> TemplateValue {
        guard var functions else {
            throw TemplateError(description: "no function of this template")
        }
        defer { self.functions = functions }
        var fault: TemplateError?
        let value = try functions.call(name, arguments) { name, data in
            // A definition as a text; its output counts into the same bounds.
            var inner = self
            inner.output = ""
            do throws(TemplateError) {
                try inner.include(name, .value(data), 1, 0)
            } catch {
                fault = error
                return nil
            }
            return inner.output
        }
        if let fault { throw fault }
        return value
    }
}
