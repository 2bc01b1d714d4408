// SPDX-License-Identifier: Apache-2.0
// The tree of a template: Go's text/template language.

/// A template that does not parse, or failed while it ran.
package struct TemplateError: Error, CustomStringConvertible {
    package let description: String
    /// The argument of a library's function that has the wrong type: Go finds that before the call.
    let argument: Int?

    package init(description: String, argument: Int? = nil) {
        self.description = description
        self.argument = argument
    }
}

/// A node that makes output or steers it.
indirect enum TemplateNode: Sendable {
    case text(String)
    case action(TemplatePipeline)
    case condition(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    case with(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    case range(TemplatePipeline, body: [TemplateNode], otherwise: [TemplateNode])
    /// `{{template "name" pipeline}}`.
    case template(name: String, TemplatePipeline?, line: Int, column: Int)
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
        case function(TemplateCallee)
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

/// What stands for a name in front of arguments.
enum TemplateCallee: Sendable, Equatable {
    case own(TemplateFunction)
    /// A function of the library the template was parsed with.
    case library(String, argumentCount: ClosedRange<Int>)
}

/// What a template may use besides the language itself.
package struct TemplateLibrary: Sendable {
    /// Functions beyond those of the language, with how many arguments each takes; nil = those of
    /// log queries.
    let functions: [String: ClosedRange<Int>]?
    /// Whether `define`, `template` and `block` are known.
    let hasDefinitions: Bool

    /// Of `line_format` and `label_format`.
    static let line = TemplateLibrary(functions: nil, hasDefinitions: false)

    private init(functions: [String: ClosedRange<Int>]?, hasDefinitions: Bool) {
        self.functions = functions
        self.hasDefinitions = hasDefinitions
    }

    /// The language itself and the given functions, which `TemplateCalling` then answers.
    package init(functions: [String: ClosedRange<Int>]) {
        self.init(functions: functions, hasDefinitions: true)
    }

    func callee(_ name: String) -> TemplateCallee? {
        guard let functions else { return TemplateFunction.named(name).map { .own($0) } }
        if let count = functions[name] { return .library(name, argumentCount: count) }
        guard let own = TemplateFunction.named(name), own.isOfLanguage else { return nil }
        return .own(own)
    }
}

/// A parsed template, ready to run. Nothing in it can touch anything but what its scope gives it.
package struct Template: Sendable {
    package let name: String
    let nodes: [TemplateNode]
    /// By name, from `define` and `block`.
    let definitions: [String: [TemplateNode]]

    init(_ text: String, name: String) throws(TemplateError) {
        try self.init(text, name: name, library: .line)
    }

    /// - Throws: `TemplateError` for syntax and for functions that do not exist.
    package init(_ text: String, name: String, library: TemplateLibrary) throws(TemplateError) {
        self.name = name
        var parser = try TemplateParser(text, name: name, library: library)
        nodes = try parser.template()
        definitions = parser.definitions
    }
}
