// SPDX-License-Identifier: Apache-2.0
// Spans on both sides of calls between services.

import Telemetry

/// Identity of a span within its trace.
struct SpanReference: Hashable, Comparable, Sendable {
    var traceID: TraceID
    var spanID: SpanID

    static func < (a: SpanReference, b: SpanReference) -> Bool {
        (a.traceID, a.spanID) < (b.traceID, b.spanID)
    }
}

/// One side of a call.
struct CallSpan: Sendable, Hashable {
    var service: String
    /// Of a caller: the name its attributes give to the other side, or empty.
    var peer = ""
    var startNanos: Int64
    var durationNanos: Int64
    var isError: Bool
}

/// A callee and the span that called it.
struct CalleeSpan: Sendable, Hashable {
    var parent: SpanReference
    var span: CallSpan
}

/// Callers (client and producer spans) by their id, callees (server and consumer spans) by theirs.
/// The two sides arrive from different processes, often in different heads or parts, so they are
/// joined when an answer is made: by the callee's parent, or by its own id where both share it.
/// Duplicate spans fall together by key.
struct CallIndex: Sendable, Equatable {
    var callers: [SpanReference: CallSpan] = [:]
    var callees: [SpanReference: CalleeSpan] = [:]

    var count: Int { callers.count + callees.count }

    mutating func merge(_ other: CallIndex) {
        for (key, span) in other.callers where callers[key] == nil { callers[key] = span }
        for (key, callee) in other.callees where callees[key] == nil { callees[key] = callee }
    }

    /// The calls of every pair of services whose caller starts in the range. A call counts once: by
    /// its callee when both sides are known, else by the caller's attribute. The callee may start
    /// outside the range: what is on the wire at its end still belongs together. O(spans).
    func edges(range: NanosRange = .all) -> [CallEdge.Key: OperationCounts] {
        var result: [CallEdge.Key: OperationCounts] = [:]
        func add(_ from: String, _ to: String, _ nanos: Int64, _ isError: Bool) {
            let key = CallEdge.Key(caller: from, callee: to)
            var counts = result[key] ?? OperationCounts()
            counts.count += 1
            if isError { counts.errorCount += 1 }
            counts.durations.add(nanos: nanos)
            result[key] = counts
        }
        var joined: Set<SpanReference> = []
        for (key, callee) in callees {
            // Zipkin's two sides of a call share their id.
            let callerKey = callers[key] == nil ? callee.parent : key
            guard let caller = callers[callerKey] else { continue }
            joined.insert(callerKey)
            guard caller.service != callee.span.service, range.contains(caller.startNanos) else {
                continue
            }
            add(
                caller.service, callee.span.service, caller.durationNanos,
                caller.isError || callee.span.isError)
        }
        for (key, caller) in callers where !caller.peer.isEmpty && !joined.contains(key) {
            if caller.peer == caller.service || !range.contains(caller.startNanos) { continue }
            add(caller.service, caller.peer, caller.durationNanos, caller.isError)
        }
        return result
    }
}

enum CallEdge {
    struct Key: Hashable { var caller: String, callee: String }
}
