// SPDX-License-Identifier: Apache-2.0
// The tree of a template: Go's text/template language.

/// A template that does not parse, or failed while it ran.
struct TemplateError: Error, CustomStringConvertible {
    let description: String
}

/// A node that makes output or steers it.
indirect enum TemplateNode: Sendable {
    case text(String)
    case action(TemplatePipeline)
    case condition(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    case with(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    case range(TemplatePipeline, body: [TemplateNode], otherwise: [TemplateNode])
    case breakLoop
    case continueLoop
}

/// `$x := a b | c d`.
struct TemplatePipeline: Sendable {
    var variables: [String] = []
    var declares = false
    var commands: [TemplateCommand] = []
}

/// An operand and the arguments behind it.
struct TemplateCommand: Sendable {
    var operands: [TemplateOperand]
}

/// A value or what makes one, with its place for error texts.
struct TemplateOperand: Sendable {
    indirect enum Kind: Sendable {
        case dot
        case null
        case bool(Bool)
        case string(String)
        case int(Int64)
        case float(Double)
        case field([String])
        case variable(String, fields: [String])
        case function(TemplateFunction)
        case pipeline(TemplatePipeline, fields: [String])
    }
    var kind: Kind
    /// As written.
    var source: String
    var line: Int
    /// Bytes from the start of the line.
    var column: Int
}

/// Bounds on templates.
enum TemplateLimits {
    static let depth = 64
    /// Bytes of output of one line.
    static let outputBytes = 1 << 20
    /// Steps of one execution: nodes visited, loop bodies counted each time.
    static let steps = 100_000
}

/// A parsed template, ready to run. Nothing in it can touch anything outside the line.
struct Template: Sendable {
    let name: String
    let nodes: [TemplateNode]

    /// - Throws: `TemplateError` for syntax and for functions that do not exist.
    init(_ text: String, name: String) throws(TemplateError) {
        self.name = name
        var parser = try TemplateParser(text, name: name)
        nodes = try parser.template()
    }
}
