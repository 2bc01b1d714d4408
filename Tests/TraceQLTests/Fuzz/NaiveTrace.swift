// SPDX-License-Identifier: Apache-2.0
// A trace and its values, as plainly as they can be held.

import Base
import Telemetry
import TestKit

/// A value as a query sees it.
indirect enum NaiveValue: Equatable {
    case null, other
    case bool(Bool)
    case int(Int64)
    case float(Double)
    case duration(Int64)
    case text(String)
    case status(Int)
    case kind(Int)
    case list([NaiveValue])

    init(_ value: AttributeValue) {
        switch value {
        case .empty, .bytes, .map: self = .other
        case .string(let text): self = .text(text)
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .int(number)
        case .double(let number): self = .float(number)
        case .array(let items): self = .list(items.map(NaiveValue.init))
        }
    }

    var number: Double? {
        switch self {
        case .int(let number), .duration(let number): Double(number)
        case .float(let number): number
        default: nil
        }
    }

    var isTrue: Bool {
        switch self {
        case .bool(let flag): flag
        case .list(let items): items.contains { $0.isTrue }
        default: false
        }
    }

    /// The single values in it.
    var items: [NaiveValue] {
        if case .list(let items) = self { items } else { [self] }
    }

    /// As answers show it.
    var answer: AttributeValue {
        switch self {
        case .null, .other: .empty
        case .bool(let flag): .bool(flag)
        case .int(let number): .int(number)
        case .float(let number): .double(number)
        case .duration(let nanos): .string(goDurationText(nanos: nanos))
        case .text(let text): .string(text)
        case .status(let code): .string(["unset", "ok", "error"][code])
        case .kind(let kind):
            .string(["unspecified", "internal", "server", "client", "producer", "consumer"][kind])
        case .list(let items): .array(items.map(\.answer))
        }
    }

    /// All values of several places, one after the other.
    static func joined(_ values: [NaiveValue]) -> NaiveValue {
        let present = values.filter { $0 != .null }
        if present.count == 1 { return present[0] }
        return present.isEmpty ? .null : .list(present.flatMap(\.items))
    }
}

enum NaiveAttribute: Hashable {
    case scoped(AttributeScope, String)
    case intrinsic(String)

    var text: String {
        switch self {
        case .intrinsic(let name): return name
        case .scoped(let scope, let name):
            let shown = name.contains(" ") || name.contains("=") ? "\"\(name)\"" : name
            return (scope == .any ? "" : "\(scope)") + "." + shown
        }
    }

    /// What answers call the value that a span shows.
    var shownName: String {
        switch self {
        case .intrinsic(let name), .scoped(_, let name): name
        }
    }

    var isIntrinsic: Bool { if case .intrinsic = self { true } else { false } }
}

/// All spans of one trace, by start, then by identity.
struct NaiveTrace {
    typealias Span = InMemorySpans.Span
    let spans: [Span]
    private(set) var parents: [Int?] = []
    private var numbers: [Int: (left: Int64, right: Int64)] = [:]

    init(_ spans: [Span]) {
        self.spans = spans.sorted { ($0.start, $0.id, $0.kind) < ($1.start, $1.id, $1.kind) }
        let all = self.spans
        let claimed = all.indices.map { i -> Int? in
            guard all[i].parent != 0 else { return nil }
            let found = all.indices.filter { $0 != i && all[$0].id == all[i].parent }
            return found.first { all[$0].kind == 2 } ?? found.first
        }
        // The earliest span of a ring is its top.
        parents = claimed.indices.map { i in
            var member = claimed[i], ring = [i]
            while let next = member, next != i, ring.count <= all.count {
                ring.append(next)
                member = claimed[next]
            }
            return member == i && ring.min() == i ? nil : claimed[i]
        }
        var counter: Int64 = 0
        for top in all.indices where parents[top] == nil { number(top, &counter) }
    }

    private mutating func number(_ i: Int, _ counter: inout Int64) {
        counter += 1
        let left = counter
        for child in children(i) { number(child, &counter) }
        counter += 1
        numbers[i] = (left, counter)
    }

    func children(_ i: Int) -> [Int] { spans.indices.filter { parents[$0] == i } }

    func isAncestor(_ a: Int, of b: Int) -> Bool {
        var up = parents[b]
        while let next = up {
            if next == a { return true }
            up = parents[next]
        }
        return false
    }

    var id: TraceID { spans[0].traceID }
    var start: Int64 { spans.map(\.start).min() ?? 0 }
    var duration: Int64 { (spans.map { $0.start + $0.duration }.max() ?? 0) - start }
    var root: Span? { spans.first { $0.parent == 0 } }

    // MARK: values

    private func find(_ name: String, _ list: [(String, AttributeValue)]) -> NaiveValue {
        list.first { $0.0 == name }.map { NaiveValue($0.1) } ?? .null
    }

    private func resource(_ span: Span) -> [(String, AttributeValue)] {
        (span.service.isEmpty ? [] : [("service.name", .string(span.service))]) + span.resource
    }

    private func events(_ span: Span) -> [InMemorySpans.Event] {
        span.events.map { InMemorySpans.Event($0, nanos: 0, []) } + span.richEvents
    }

    func value(_ attribute: NaiveAttribute, _ i: Int) -> NaiveValue {
        let span = spans[i]
        switch attribute {
        case .scoped(.span, let name): return find(name, span.attributes)
        case .scoped(.resource, let name): return find(name, resource(span))
        case .scoped(.any, let name):
            let own = find(name, span.attributes)
            return own == .null ? find(name, resource(span)) : own
        case .scoped(.instrumentation, let name): return find(name, span.scope)
        case .scoped(.event, let name):
            return .joined(events(span).map { find(name, $0.attributes) })
        case .scoped(.link, let name):
            return .joined(span.links.map { find(name, $0.attributes) })
        case .intrinsic(let name): return intrinsic(name, i)
        }
    }

    private func intrinsic(_ name: String, _ i: Int) -> NaiveValue {
        let span = spans[i]
        switch name {
        case "duration", "span:duration": return .duration(span.duration)
        case "name", "span:name": return .text(span.name)
        case "status", "span:status": return .status(Int(span.status))
        case "statusMessage", "span:statusMessage": return .text(span.statusMessage)
        case "kind", "span:kind": return .kind(Int(span.kind))
        case "trace:id": return .text(span.traceID.description)
        case "span:id": return .text(SpanID(span.id).description)
        case "span:parentID":
            return .text(span.parent == 0 ? "" : SpanID(span.parent).description)
        case "span:childCount": return .int(Int64(children(i).count))
        case "rootName", "trace:rootName": return root.map { .text($0.name) } ?? .null
        case "rootServiceName", "trace:rootService":
            return root.map { .text($0.service) } ?? .null
        case "traceDuration", "trace:duration": return .duration(duration)
        case "nestedSetLeft": return .int(numbers[i]?.left ?? 0)
        case "nestedSetRight": return .int(numbers[i]?.right ?? 0)
        case "nestedSetParent":
            return .int(parents[i].flatMap { numbers[$0]?.left } ?? (span.parent == 0 ? -1 : 0))
        case "event:name": return .joined(events(span).map { .text($0.name) })
        case "event:timeSinceStart": return .joined(events(span).map { .duration($0.nanos) })
        case "link:traceID":
            return .joined(span.links.map { .text(TraceID(high: 0, low: $0.trace).description) })
        case "link:spanID":
            return .joined(span.links.map { .text(SpanID($0.span).description) })
        case "instrumentation:name": return .text(span.scopeName)
        case "instrumentation:version": return .text(span.scopeVersion)
        default: return .null
        }
    }
}
