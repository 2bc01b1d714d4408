// SPDX-License-Identifier: Apache-2.0
// Call trees of the shop.

import Base
import Telemetry

/// Traces whose every span follows from the seed and the trace's number.
///
/// Trace `j` starts at `startNanos + j × traceEveryNanos` and has 5 to 60 spans, most of them few:
/// the gateway's server span, its call of the frontend, the frontend's server span, and from there on
/// calls along `Shop`'s edges, with queries of databases as leaves. One trace in 25 fails: a leaf has
/// an error with an exception event, and the spans above it up to the root fail with it.
package struct TraceShape: Sendable {
    package let timeline: Timeline
    package let batchTraces: Int
    /// Spans of every trace; nil = 5 to 60.
    package let spansPerTrace: Int?
    let sources: TraceSources

    package init(timeline: Timeline, batchTraces: Int, spansPerTrace: Int? = nil) {
        self.timeline = timeline
        self.batchTraces = batchTraces
        self.spansPerTrace = spansPerTrace
        sources = TraceSources(timeline: timeline)
    }

    package func traceID(_ trace: Int) -> TraceID {
        TraceID(
            high: Chance.hash(timeline.seed, 3, UInt64(trace)) | 1,
            low: Chance.hash(timeline.seed, 4, UInt64(trace)))
    }

    /// Spans have ids that differ within the run.
    package func spanID(_ trace: Int, _ span: Int) -> SpanID {
        SpanID(Chance.hash(timeline.seed &+ 5, UInt64(trace), UInt64(span)) | 1)
    }

    package func fails(_ trace: Int) -> Bool {
        Chance.hash(timeline.seed, 6, UInt64(trace)) % 25 == 0
    }

    /// 5 to 60, unless all traces have the same.
    package func spanCount(_ trace: Int) -> Int {
        if let spansPerTrace { return spansPerTrace }
        var chance = Chance(seed: timeline.seed, 7, UInt64(trace))
        return 5 + chance.skewed(56)
    }

    /// Services that certainly have spans in a trace: gateway and frontend, and those that the first
    /// calls reach.
    package func services(ofTrace trace: Int) -> [Int] {
        let first = Chance.hash(timeline.seed, 8, UInt64(trace))
        let calls = Shop.services[1].calls
        return [0, 1, calls[Int(first % UInt64(calls.count))]]
    }

    /// How many traces hold the first `spans` spans, and how many of the last one's are among them.
    package func traces(spans: Int) -> (count: Int, lastSpans: Int) {
        var rest = spans
        var trace = 0
        while true {
            let count = spanCount(trace)
            if count >= rest { return (trace + 1, rest) }
            rest -= count
            trace += 1
        }
    }

    package func batchCount(traces: Int) -> Int { (traces + batchTraces - 1) / batchTraces }

    package func traces(ofBatch index: Int, traces: Int = .max) -> Range<Int> {
        index * batchTraces..<min(traces, (index + 1) * batchTraces)
    }

    /// A batch of a run of `traces` traces, of which the last has its first `lastSpans` spans only.
    package func batch(_ index: Int, traces: Int = .max, lastSpans: Int = .max) -> SpanBatch {
        var batch = SpanBatch()
        batch.arena = sources.arena
        batch.resources = sources.resources
        batch.scopes = sources.scopes
        var nodes: [SpanNode] = []
        for trace in self.traces(ofBatch: index, traces: traces) {
            let limit = trace == traces - 1 ? lastSpans : .max
            add(trace, min(limit, spanCount(trace)), &nodes, to: &batch)
        }
        return batch
    }

    private func add(
        _ trace: Int, _ count: Int, _ nodes: inout [SpanNode], to batch: inout SpanBatch
    ) {
        var chance = Chance(seed: timeline.seed, 9, UInt64(trace))
        makeTree(trace, count, &nodes, &chance)
        let id = traceID(trace)
        for (i, node) in nodes.enumerated() {
            var row = SpanRow()
            row.traceID = id
            row.spanID = spanID(trace, i)
            if i > 0 { row.parentID = spanID(trace, node.parent) }
            row.resource = UInt32(node.service * Shop.pods + node.pod)
            row.scope = node.kind == .database ? 1 : 0
            row.kind = node.kind.otlpKind
            row.name = sources.name(node)
            row.startNanos = node.start
            row.endNanos = node.end
            row.flags = 0x101
            if node.failed {
                row.statusCode = 2
                row.statusMessage = sources.failure
                if node.isOrigin { row.events = appendException(node, to: &batch.arena) }
            }
            row.attributes = appendAttributes(node, &chance, to: &batch.arena)
            batch.add(row)
        }
    }

    /// Fills `nodes` with a tree in which parents come before their children, so that any prefix of
    /// it is a tree too.
    private func makeTree(
        _ trace: Int, _ count: Int, _ nodes: inout [SpanNode], _ chance: inout Chance
    ) {
        nodes.removeAll(keepingCapacity: true)
        let start = timeline.startNanos + Int64(trace) * timeline.traceEveryNanos
        var root = SpanNode(kind: .server, service: 0, start: start)
        root.end = start + 4_000_000 + Int64(chance.skewed(900)) * 1_000_000
        root.pod = chance.below(Shop.pods)
        root.operation = chance.skewed(Shop.services[0].operations.count)
        nodes.append(root)
        let firstCall = services(ofTrace: trace)[2]
        while nodes.count < count {
            let i = nodes.count
            // Spans 1 to 4 are the way to the first called service; then the tree grows anywhere.
            let parent = i <= 4 ? i - 1 : 2 + chance.skewed(i - 2)
            let above = nodes[parent]
            var node = SpanNode(kind: .work, service: above.service, start: 0)
            node.parent = parent
            node.pod = above.pod
            switch above.kind {
            case .client:
                node.kind = .server
                node.service = above.target
                node.pod = chance.below(Shop.pods)
                node.operation = chance.skewed(Shop.services[node.service].operations.count)
            case .server, .work, .database:
                let service = Shop.services[above.service]
                if i == 1 || i == 3 || (!service.calls.isEmpty && chance.happens(3, in: 5)) {
                    node.kind = .client
                    node.target =
                        i == 1
                        ? 1
                        : i == 3 ? firstCall : service.calls[chance.below(service.calls.count)]
                } else if service.database != nil, chance.happens(4, in: 5) {
                    node.kind = .database
                    node.operation = chance.below(TraceSources.statements.count)
                }
            }
            let room = max(2, above.end - above.start)
            node.start = above.start + Int64(chance.below(Int(room / 2)))
            node.end =
                node.start + 1 + Int64(chance.fraction() * Double(above.end - node.start - 1))
            nodes.append(node)
        }
        if fails(trace) {
            var i = nodes.count - 1
            nodes[i].isOrigin = true
            while true {
                nodes[i].failed = true
                if i == 0 { break }
                i = nodes[i].parent
            }
        }
    }
}

/// What a span is.
enum SpanRole {
    case server, client, work, database

    var otlpKind: UInt8 {
        switch self {
        case .server: 2
        case .client, .database: 3
        case .work: 1
        }
    }
}

/// A span of the tree that is being made.
struct SpanNode {
    var kind: SpanRole
    var service: Int
    /// Service that a client span calls.
    var target = 0
    var pod = 0
    var operation = 0
    var parent = 0
    var start: Int64
    var end: Int64 = 0
    var failed = false
    var isOrigin = false

    init(kind: SpanRole, service: Int, start: Int64) {
        self.kind = kind
        self.service = service
        self.start = start
    }
}
