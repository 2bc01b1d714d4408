// SPDX-License-Identifier: Apache-2.0
// What `explain` tells about a query.

import Base

/// One operator of a query with what it did.
package struct PlanNode: Sendable, Equatable {
    /// What was asked of the store, as it was sent.
    package struct Selection: Sendable, Equatable {
        /// In braces, as a selector has them.
        package var matchers: String
        /// Milliseconds, both inclusive.
        package var firstMillis: Int64
        package var lastMillis: Int64
        /// Series found; they may turn out to have no sample that counts.
        package var series: Int
    }

    /// What the operator does: `select`, `rate`, `aggregate sum by (job)`, `join * on (instance)`.
    package var operation: String
    /// The sub-expression, with the query's times put in.
    package var text: String
    /// Series it yields; 1 for a scalar.
    package var series: Int
    /// Samples that it read from the store itself.
    package var samples: Int
    /// Times at which it computes.
    package var steps: Int
    /// Time in it, without that in its children.
    package var ownNanos: Int64
    /// Time in it and in all below.
    package var totalNanos: Int64
    /// What the planner decided here.
    package var facts: [String]
    package var selections: [Selection]
    package var children: [PlanNode]
}

/// A query that was computed to be explained; its answer is thrown away.
package struct ExplainedQuery: Sendable {
    package var kind: ValueKind
    package var plan: PlanNode
    /// Series of the answer.
    package var series: Int
    package var samples: Int
    package var peakBytes: Int
    /// From before the parser to behind the collected answer; the nodes take a part of it.
    package var nanos: Int64
    package var warnings: [String]
    package var infos: [String]
}

extension ExplainedQuery {
    /// The answer of the API.
    ///
    /// - Parameter text: the query as it was sent.
    package func write(_ text: String, into json: inout JSONWriter) {
        json.beginObject()
        json.member("query", text)
        json.member("kind", kind.rawValue)
        json.key("plan")
        plan.write(into: &json)
        json.key("totals")
        json.beginObject()
        json.member("series", series)
        json.member("samples", samples)
        json.member("peakBytes", peakBytes)
        json.member("nanos", Int(nanos))
        json.endObject()
        json.endObject()
    }
}

extension PlanNode {
    fileprivate func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("operator", operation)
        json.member("text", text)
        json.member("series", series)
        json.member("samples", samples)
        json.member("steps", steps)
        json.member("ownNanos", Int(ownNanos))
        json.member("totalNanos", Int(totalNanos))
        if !facts.isEmpty {
            json.key("facts")
            json.beginArray()
            for fact in facts { json.string(fact) }
            json.endArray()
        }
        if !selections.isEmpty {
            json.key("selections")
            json.beginArray()
            for selection in selections {
                json.beginObject()
                json.member("matchers", selection.matchers)
                json.member("startMillis", Int(selection.firstMillis))
                json.member("endMillis", Int(selection.lastMillis))
                json.member("series", selection.series)
                json.endObject()
            }
            json.endArray()
        }
        json.key("children")
        json.beginArray()
        for child in children { child.write(into: &json) }
        json.endArray()
        json.endObject()
    }
}
