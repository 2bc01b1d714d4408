// SPDX-License-Identifier: Apache-2.0
// Sides of calls that wait for each other.

import Telemetry

/// One call between two services, as far as its spans have come.
struct SpanEdge: Sendable {
    enum Connection: UInt8, Sendable {
        case direct, messaging, database, virtualNode

        /// Value of the label `connection_type`.
        var text: StaticString {
            switch self {
            case .direct: ""
            case .messaging: "messaging_system"
            case .database: "database"
            case .virtualNode: "virtual_node"
            }
        }
    }

    var traceID: TraceID
    var connection = Connection.direct
    /// Empty = not known yet.
    var client = ""
    var server = ""
    /// Nil = that side has no span.
    var clientSeconds: Double?
    var serverSeconds: Double?
    var clientEndNanos: Int64 = 0
    var serverStartNanos: Int64 = 0
    /// Values of the configured dimensions, empty = absent; no elements = no span.
    var clientDimensions: [String] = []
    var serverDimensions: [String] = []
    var isFailed = false
    var weight = 1.0
    /// What the attributes of a side call the other.
    var peer = ""
    /// Whether the server's span has no parent.
    var isRoot = false
    /// Which side was made up.
    var virtualSide: StaticString = ""
    /// When it stops waiting, by the monotonic clock.
    fileprivate var deadlineNanos: Int64 = 0

    init(traceID: TraceID) { self.traceID = traceID }

    var isComplete: Bool { !client.isEmpty && !server.isEmpty }
}

/// Calls of which one side is known, by the span id that both sides know: the client's.
///
/// Source of the rules: grafana/tempo `modules/generator/processor/servicegraphs`. Two differ.
/// The server's span of a pair that shares its id (Zipkin) is found by that id, where it says that it
/// does or comes after the client's. A root span waits
/// under its own id, so that several roots of one trace do not take each other's place.
struct OpenEdges: Sendable {
    struct Key: Hashable, Sendable {
        var traceID: TraceID
        var spanID: SpanID

        func hash(into hasher: inout Hasher) {
            hasher.combine(traceID.low)
            hasher.combine(spanID.rawValue)
        }
    }

    /// Edges lie still while the table of their keys grows.
    private var edges: [SpanEdge?] = []
    private var free: [Int] = []
    private var numbers: [Key: Int] = [:]
    /// Keys in the order of their deadlines; some are gone, or wait again with a later one.
    private var order: [(key: Key, deadlineNanos: Int64)] = []
    private var first = 0

    var count: Int { numbers.count }

    /// Whether a client's side waits there.
    func hasClient(_ key: Key) -> Bool {
        numbers[key].flatMap { edges[$0] }.map { !$0.client.isEmpty } ?? false
    }

    /// Adds one side to the edge of a key. Returns the edge when both sides are known.
    ///
    /// - Parameter add: fills the side in.
    /// - Returns: `isFull` when there is no room for another edge.
    mutating func add(
        _ key: Key, deadlineNanos: Int64, limit: Int, _ add: (inout SpanEdge) -> Void
    ) -> (complete: SpanEdge?, isFull: Bool) {
        if let number = numbers[key] {
            guard var edge = edges[number].take() else { return (nil, false) }
            add(&edge)
            if edge.isComplete {
                numbers[key] = nil
                free.append(number)
                return (edge, false)
            }
            edges[number] = edge
            return (nil, false)
        }
        var edge = SpanEdge(traceID: key.traceID)
        add(&edge)
        if edge.isComplete { return (edge, false) }
        guard numbers.count < limit else { return (nil, true) }
        edge.deadlineNanos = deadlineNanos
        if let number = free.popLast() {
            edges[number] = edge
            numbers[key] = number
        } else {
            numbers[key] = edges.count
            edges.append(edge)
        }
        order.append((key, deadlineNanos))
        return (nil, false)
    }

    /// Hands over edges that have waited long enough. Amortised O(1) for each that was added.
    mutating func expire(nowNanos: Int64, _ body: (SpanEdge) -> Void) {
        while first < order.count, order[first].deadlineNanos <= nowNanos {
            let (key, deadline) = order[first]
            first += 1
            // A newer edge of the same key has a later deadline of its own.
            guard let number = numbers[key], edges[number]?.deadlineNanos == deadline,
                let edge = edges[number].take()
            else { continue }
            numbers[key] = nil
            free.append(number)
            body(edge)
        }
        if first > 1024, first > order.count / 2 {
            order.removeFirst(first)
            first = 0
        }
    }
}
