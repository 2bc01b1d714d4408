// SPDX-License-Identifier: Apache-2.0
// From a template's words to its tree.

import Base

struct TemplateParser {
    private let tokens: [TemplateToken]
    private let name: String
    private let library: TemplateLibrary
    private(set) var definitions: [String: [TemplateNode]] = [:]
    private var position = 0
    private var depth = 0
    private var variables: [String] = ["$"]
    private var loops = 0

    init(_ text: String, name: String, library: TemplateLibrary) throws(TemplateError) {
        self.name = name
        self.library = library
        tokens = try TemplateLexer.tokens(text, name: name)
    }

    private var token: TemplateToken { tokens[position] }

    private mutating func next() -> TemplateToken {
        let current = tokens[position]
        if position + 1 < tokens.count { position += 1 }
        return current
    }

    private func fail(_ message: String) -> TemplateError {
        TemplateError(description: "template: \(name):\(token.line): \(message)")
    }

    private func unexpected(_ context: String) -> TemplateError {
        let what =
            switch token.kind {
            case .end: "EOF"
            case .rightDelimiter: quotedText("}}")
            default: quotedText(token.text)
            }
        return fail("unexpected \(what) in \(context)")
    }

    mutating func template() throws(TemplateError) -> [TemplateNode] {
        let (nodes, ending) = try list()
        if let ending { throw fail("unexpected {{\(ending)}}") }
        return nodes
    }

    /// Nodes up to the end of the text, or to `{{end}}` or `{{else}}`, whose word is returned; of an
    /// `else` the words behind it are left.
    private mutating func list() throws(TemplateError) -> ([TemplateNode], String?) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= TemplateLimits.depth else { throw fail("nested too deeply") }
        var nodes: [TemplateNode] = []
        while true {
            let current = next()
            switch current.kind {
            case .end: return (nodes, nil)
            case .text: nodes.append(.text(current.text))
            case .leftDelimiter:
                if token.kind == .identifier {
                    switch token.text {
                    case "end":
                        _ = next()
                        try expectRight("end")
                        return (nodes, "end")
                    case "else":
                        _ = next()
                        return (nodes, "else")
                    case "if", "with", "range":
                        nodes.append(try control(next().text))
                        continue
                    case "break", "continue":
                        let word = next().text
                        guard loops > 0 else { throw fail("{{\(word)}} outside {{range}}") }
                        try expectRight(word)
                        nodes.append(word == "break" ? .breakLoop : .continueLoop)
                        continue
                    case "define", "template", "block":
                        guard library.hasDefinitions else {
                            throw fail("{{\(token.text)}} is not supported in a query")
                        }
                        if let node = try definition() { nodes.append(node) }
                        continue
                    default: break
                    }
                }
                let pipeline = try self.pipeline("command")
                try expectRight("command")
                nodes.append(.action(pipeline))
            default: throw unexpected("input")
            }
        }
    }

    /// `{{define "name"}}`, `{{template "name" pipeline}}` and `{{block "name" pipeline}}`, which is
    /// both.
    private mutating func definition() throws(TemplateError) -> TemplateNode? {
        let word = next()
        if word.text == "define", depth > 1 { throw fail("unexpected {{define}}") }
        guard token.kind == .string, let bytes = unquotedBytes(token.text.utf8) else {
            throw unexpected("\(word.text) clause")
        }
        let target = String(decoding: bytes, as: UTF8.self)
        _ = next()
        var argument: TemplatePipeline?
        if token.kind != .rightDelimiter, word.text != "define" {
            argument = try pipeline("\(word.text) clause")
        }
        try expectRight("\(word.text) clause")
        if word.text != "template" {
            // A definition sees nothing of what surrounds it.
            let outer = (variables, loops)
            (variables, loops) = (["$"], 0)
            let (nodes, ending) = try list()
            guard ending == "end" else { throw fail("unexpected EOF") }
            (variables, loops) = outer
            definitions[target] = nodes
        }
        if word.text == "define" { return nil }
        return .template(name: target, argument, line: word.line, column: word.column)
    }

    private mutating func expectRight(_ context: String) throws(TemplateError) {
        guard token.kind == .rightDelimiter else { throw unexpected(context) }
        _ = next()
    }

    private mutating func control(_ word: String) throws(TemplateError) -> TemplateNode {
        let scope = variables.count
        defer { variables.removeSubrange(scope...) }
        let pipeline = try self.pipeline(word)
        try expectRight(word)
        if word == "range" { loops += 1 }
        let (body, ending) = try list()
        if word == "range" { loops -= 1 }
        var otherwise: [TemplateNode] = []
        switch ending {
        case "end": break
        case "else":
            if token.kind == .identifier, token.text == "if" || token.text == "with",
                word != "range"
            {
                depth += 1
                defer { depth -= 1 }
                guard depth <= TemplateLimits.depth else { throw fail("nested too deeply") }
                otherwise = [try control(next().text)]
            } else {
                try expectRight("else")
                let (nodes, ending) = try list()
                guard ending == "end" else { throw fail("unexpected EOF") }
                otherwise = nodes
            }
        default: throw fail("unexpected EOF")
        }
        switch word {
        case "if": return .condition(pipeline, then: body, otherwise: otherwise)
        case "with": return .with(pipeline, then: body, otherwise: otherwise)
        default: return .range(pipeline, body: body, otherwise: otherwise)
        }
    }

    // MARK: pipelines

    private mutating func pipeline(_ context: String) throws(TemplateError) -> TemplatePipeline {
        var pipeline = TemplatePipeline()
        if token.kind == .variable {
            let following = tokens[min(position + 1, tokens.count - 1)]
            if following.kind == .symbol, [":=", "=", ","].contains(following.text) {
                try declaration(into: &pipeline, context)
            }
        }
        while true {
            pipeline.commands.append(try command(context))
            guard token.kind == .symbol, token.text == "|" else { return pipeline }
            _ = next()
        }
    }

    private mutating func declaration(
        into pipeline: inout TemplatePipeline, _ context: String
    ) throws(TemplateError) {
        pipeline.variables.append(next().text)
        if token.text == ",", token.kind == .symbol {
            guard context == "range" else { throw fail("too many declarations in command") }
            _ = next()
            guard token.kind == .variable else { throw unexpected("range") }
            pipeline.variables.append(next().text)
        }
        guard token.kind == .symbol, token.text == ":=" || token.text == "=" else {
            throw unexpected(context)
        }
        pipeline.declares = next().text == ":="
        for variable in pipeline.variables {
            if pipeline.declares {
                variables.append(variable)
            } else if !variables.contains(variable) {
                throw fail("undefined variable \(quotedText(variable))")
            }
        }
    }

    private mutating func command(_ context: String) throws(TemplateError) -> TemplateCommand {
        var operands: [TemplateOperand] = []
        while true {
            switch token.kind {
            case .rightDelimiter, .end: break
            case .symbol where token.text == "|" || token.text == ")": break
            default:
                operands.append(try operand(context))
                continue
            }
            break
        }
        guard let first = operands.first else { throw fail("missing value for \(context)") }
        switch first.kind {
        case .bool, .string, .int, .float, .null, .dot:
            if operands.count > 1 {
                throw fail("can't give argument to non-function \(first.source)")
            }
        default: break
        }
        return TemplateCommand(operands: operands)
    }

    private mutating func operand(_ context: String) throws(TemplateError) -> TemplateOperand {
        let start = token
        func make(_ kind: TemplateOperand.Kind, _ source: String) -> TemplateOperand {
            TemplateOperand(kind: kind, source: source, line: start.line, column: start.column)
        }
        switch start.kind {
        case .field:
            _ = next()
            if start.text == "." { return make(.dot, ".") }
            let fields = [String(start.text.dropFirst())] + fieldChain()
            return make(.field(fields), "." + fields.joined(separator: "."))
        case .variable:
            _ = next()
            guard variables.contains(start.text) else {
                throw fail("undefined variable \(quotedText(start.text))")
            }
            let fields = fieldChain()
            return make(
                .variable(start.text, fields: fields),
                ([start.text] + fields).joined(separator: "."))
        case .string, .character:
            _ = next()
            guard let bytes = unquotedBytes(start.text.utf8) else {
                throw fail("malformed string \(start.text)")
            }
            let text = String(decoding: bytes, as: UTF8.self)
            if start.kind == .character {
                guard let scalar = text.unicodeScalars.first, text.unicodeScalars.count == 1 else {
                    throw fail("malformed character constant: \(start.text)")
                }
                return make(.int(Int64(scalar.value)), start.text)
            }
            return make(.string(text), start.text)
        case .number:
            _ = next()
            if let value = integer(start.text) { return make(.int(value), start.text) }
            guard let value = parseFloat(start.text) else {
                throw fail("bad number syntax: \(quotedText(start.text))")
            }
            return make(.float(value), start.text)
        case .identifier:
            _ = next()
            switch start.text {
            case "true", "false": return make(.bool(start.text == "true"), start.text)
            case "nil": return make(.null, "nil")
            default:
                guard let function = library.callee(start.text) else {
                    throw fail("function \(quotedText(start.text)) not defined")
                }
                return make(.function(function), start.text)
            }
        case .symbol where start.text == "(":
            _ = next()
            depth += 1
            defer { depth -= 1 }
            guard depth <= TemplateLimits.depth else { throw fail("nested too deeply") }
            let inner = try pipeline("parenthesized pipeline")
            guard token.kind == .symbol, token.text == ")" else {
                throw fail("unclosed left paren")
            }
            _ = next()
            return make(.pipeline(inner, fields: fieldChain()), "(…)")
        default: throw unexpected(context)
        }
    }

    /// `.a.b` directly behind an operand.
    private mutating func fieldChain() -> [String] {
        var fields: [String] = []
        while token.kind == .field, !token.afterBlank, token.text != "." {
            fields.append(String(next().text.dropFirst()))
        }
        return fields
    }

    private func integer(_ text: String) -> Int64? {
        if let value = Int64(text) { return value }
        let lower = text.lowercased()
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where lower.hasPrefix(prefix) {
            return Int64(lower.dropFirst(2), radix: radix)
        }
        return nil
    }
}
