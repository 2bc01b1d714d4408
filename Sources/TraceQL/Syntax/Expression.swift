// SPDX-License-Identifier: Apache-2.0
// The syntax tree of TraceQL.

import Telemetry

/// Properties of spans and traces that have a name of their own.
package enum Intrinsic: String, Sendable, CaseIterable {
    case duration, name, status, statusMessage, kind, parent
    case rootName, rootServiceName, traceDuration
    case nestedSetLeft, nestedSetRight, nestedSetParent
    case traceID = "trace:id"
    case spanID = "span:id"
    case parentID = "span:parentID"
    case childCount = "span:childCount"
    case eventName = "event:name"
    case eventTimeSinceStart = "event:timeSinceStart"
    case linkTraceID = "link:traceID"
    case linkSpanID = "link:spanID"
    case instrumentationName = "instrumentation:name"
    case instrumentationVersion = "instrumentation:version"

    /// Unscoped names and all scoped ones.
    static let named: [String: Intrinsic] = {
        var names: [String: Intrinsic] = [:]
        for intrinsic in Intrinsic.allCases { names[intrinsic.rawValue] = intrinsic }
        for (scoped, intrinsic) in [
            ("trace:duration", traceDuration), ("trace:rootName", rootName),
            ("trace:rootService", rootServiceName), ("span:duration", duration),
            ("span:name", name), ("span:kind", kind), ("span:status", status),
            ("span:statusMessage", statusMessage),
        ] { names[scoped] = intrinsic }
        return names
    }()

    var type: StaticType {
        switch self {
        case .duration, .traceDuration, .eventTimeSinceStart: .duration
        case .status: .status
        case .kind: .kind
        case .childCount, .nestedSetLeft, .nestedSetRight, .nestedSetParent: .int
        case .parent: .none
        default: .string
        }
    }

    /// Whether a span alone does not know it.
    var needsTrace: Bool {
        switch self {
        case .rootName, .rootServiceName, .traceDuration, .childCount, .nestedSetLeft,
            .nestedSetRight, .nestedSetParent:
            true
        default: false
        }
    }
}

/// An attribute or intrinsic of a span.
package struct Attribute: Sendable, Hashable {
    package var scope: AttributeScope
    package var name: String
    package var intrinsic: Intrinsic?
    /// `parent.` stands in front: parses, but is not supported.
    package var isParent = false

    package init(scope: AttributeScope, name: String) {
        self.scope = scope
        self.name = name
    }
    /// - Parameter spelling: as the query has it: answers name `span:name` and `name` as asked for.
    package init(_ intrinsic: Intrinsic, spelling: String? = nil) {
        scope = .any
        name = spelling ?? intrinsic.rawValue
        self.intrinsic = intrinsic
    }

    /// As a query spells it.
    package var text: String {
        let prefix = isParent ? "parent." : ""
        if intrinsic != nil { return prefix + name }
        let name = Attribute.quotedWhereNeeded(self.name)
        switch scope {
        case .any: return prefix + "." + name
        case .span: return prefix + "span." + name
        case .resource: return prefix + "resource." + name
        case .event: return prefix + "event." + name
        case .link: return prefix + "link." + name
        case .instrumentation: return prefix + "instrumentation." + name
        }
    }

    /// Bytes that end a name that is not in quotes.
    static let terminators = Set("{}()=~!<>&|^,\" \t\n\r\u{b}\u{c}".utf8)

    private static func quotedWhereNeeded(_ name: String) -> String {
        guard name.utf8.contains(where: { terminators.contains($0) }) else { return name }
        var text = "\""
        for character in name.unicodeScalars {
            if character == "\"" || character == "\\" { text += "\\" }
            text.unicodeScalars.append(character)
        }
        return text + "\""
    }
}

/// Types of values. `unknown` is an attribute's before it is read.
enum StaticType: Equatable {
    case none, unknown, bool, int, float, duration, string, status, kind, null

    var isNumeric: Bool { self == .int || self == .float || self == .duration }
}

/// A constant in a query.
package enum Static: Sendable, Equatable {
    case null
    case bool(Bool)
    case int(Int64)
    case float(Double)
    /// Nanoseconds.
    case duration(Int64)
    case string(String)
    /// OTLP's numbers: 0 unset, 1 ok, 2 error.
    case status(Int64)
    /// OTLP's numbers: 0 unspecified … 5 consumer.
    case kind(Int64)

    var type: StaticType {
        switch self {
        case .null: .null
        case .bool: .bool
        case .int: .int
        case .float: .float
        case .duration: .duration
        case .string: .string
        case .status: .status
        case .kind: .kind
        }
    }
}

enum FieldOperator: String, Sendable {
    case and = "&&"
    case or = "||"
    case equal = "="
    case notEqual = "!="
    case matches = "=~"
    case notMatches = "!~"
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case modulo = "%"
    case power = "^"

    /// Binding strength; `&&` and `||` bind equally.
    var precedence: Int {
        switch self {
        case .and, .or: 1
        case .equal, .notEqual, .matches, .notMatches, .less, .lessOrEqual, .greater,
            .greaterOrEqual:
            2
        case .add, .subtract: 3
        case .multiply, .divide, .modulo: 5
        case .power: 6
        }
    }
    var isComparison: Bool { precedence == 2 }
    var isArithmetic: Bool { precedence >= 3 }
}

/// An expression over one span.
indirect enum FieldExpression: Sendable {
    case constant(Static)
    case attribute(Attribute)
    case not(FieldExpression)
    case negate(FieldExpression)
    case binary(FieldOperator, FieldExpression, FieldExpression)
}

/// Operators between sets of spans of one trace.
enum SpansetOperator: String, Sendable {
    case and = "&&"
    case or = "||"
    case child = ">"
    case parent = "<"
    case descendant = ">>"
    case ancestor = "<<"
    case sibling = "~"
    case notChild = "!>"
    case notParent = "!<"
    case notDescendant = "!>>"
    case notAncestor = "!<<"
    case notSibling = "!~"
    case unionChild = "&>"
    case unionParent = "&<"
    case unionDescendant = "&>>"
    case unionAncestor = "&<<"
    case unionSibling = "&~"

    var precedence: Int { self == .and || self == .or ? 1 : 2 }
}

indirect enum SpansetExpression: Sendable {
    case filter(FieldExpression?)
    case pipeline(SpansetPipeline)
    case binary(SpansetOperator, SpansetExpression, SpansetExpression)
}

enum SpanAggregate: String, Sendable { case count, avg, max, min, sum }

/// A number made of the spans of a spanset.
indirect enum ScalarExpression: Sendable {
    case constant(Static)
    /// `count()` has no expression.
    case aggregate(SpanAggregate, FieldExpression?)
    case pipeline(SpansetPipeline)
    case binary(FieldOperator, ScalarExpression, ScalarExpression)
}

enum PipelineStage: Sendable {
    case spanset(SpansetExpression)
    case scalarFilter(FieldOperator, ScalarExpression, ScalarExpression)
    case group(FieldExpression)
    case coalesce
    case select([Attribute])
    /// The end of a pipeline that yields a number: only inside an arithmetic expression.
    case scalar(ScalarExpression)
}

struct SpansetPipeline: Sendable {
    var stages: [PipelineStage]
}

/// First stage of a metrics query.
struct MetricsAggregation: Sendable {
    var function: String
    var attribute: Attribute?
    var quantiles: [Double] = []
    var grouping: [Attribute] = []
    var selection: FieldExpression?
    var compareParameters: [Int64] = []
}

enum MetricsStage: Sendable {
    case topk(Int64)
    case bottomk(Int64)
    case threshold(FieldOperator, Double)
}

indirect enum MetricsExpression: Sendable {
    case pipeline(SpansetPipeline, MetricsAggregation, [MetricsStage])
    case number(Static)
    case binary(FieldOperator, MetricsExpression, MetricsExpression)
    /// An expression in parentheses or at the top, with stages behind it.
    case staged(MetricsExpression, [MetricsStage])
}

/// A parsed query.
package struct TraceQLQuery: Sendable {
    enum Kind: Sendable {
        case search(SpansetPipeline)
        case metrics(MetricsExpression)
    }
    var kind: Kind
    /// `with(…)`, unknown names included.
    package var hints: [(name: String, value: Static)] = []

    package var isMetrics: Bool {
        if case .metrics = kind { true } else { false }
    }
}
